{{/* Labels of everything; with a component: (dict "root" $ "component" "console"). */}}
{{- define "activity.selector" -}}
app.kubernetes.io/name: activity
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "activity.labels" -}}
{{ include "activity.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Name of an object of a component. */}}
{{- define "activity.name" -}}
{{ printf "%s-%s" .root.Release.Name .component | trunc 46 | trimSuffix "-" }}
{{- end }}

{{/* (dict "root" $ "image" "jobs") */}}
{{- define "activity.image" -}}
{{ printf "%s:%s" (get .root.Values.image .image) (.root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{/* Variables of settings, each section's keys: JSON, which the settings read as YAML. */}}
{{- define "activity.settings" -}}
{{- range $section, $keys := . }}
{{- range $key, $value := $keys }}
- name: ACTIVITY_{{ upper $section }}__{{ upper $key }}
  value: {{ toJson $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Variables of a container.
root; component; role: of PostgreSQL; secrets: variable -> key of the Secret; settings: over those of all. */}}
{{- define "activity.env" -}}
{{- $values := .root.Values }}
{{- $own := dict "store" (dict "user" .role) }}
{{- if $values.registry.enabled }}
{{- $_ := set $own "registry" (dict "uri" (printf "http://%s:5000" (include "activity.name" (dict "root" .root "component" "registry")))) }}
{{- end }}
{{- with $values.storage.bucket }}
{{- $bucket := trimSuffix "/" . }}
{{- $_ := set $own "lake" (dict "folder" (printf "%s/lake" $bucket)) }}
{{- $_ := set $own "archive" (dict "folder" (printf "%s/lake/archive" $bucket)) }}
{{- $_ := set $own "spark" (dict "checkpoints" (printf "%s/checkpoints" $bucket)) }}
{{- end }}
{{- include "activity.settings" (mergeOverwrite (deepCopy $own) (deepCopy $values.settings) (deepCopy (.settings | default dict))) }}
{{- with $values.secret.kafkaOptions }}
- name: ACTIVITY_KAFKA__OPTIONS
  valueFrom: {secretKeyRef: {name: {{ . }}, key: options}}
{{- end }}
{{- range $name, $key := .secrets }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $values.secret.name }}, key: {{ $key }}}}
{{- end }}
- name: HOME
  value: /tmp
{{- end }}

{{- define "activity.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "activity.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What each pod has: root, account (name; "" is the namespace's default). */}}
{{- define "activity.pod" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
securityContext:
  {{- include "activity.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Volumes: /tmp, and the claim where files are not in object storage. */}}
{{- define "activity.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if not .Values.storage.bucket }}
- name: data
  persistentVolumeClaim:
    claimName: {{ .Values.storage.claim.existing | default (include "activity.name" (dict "root" . "component" "data")) }}
{{- end }}
{{- end }}

{{- define "activity.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.storage.bucket }}
- {name: data, mountPath: /data}
{{- end }}
{{- end }}

{{/* An empty claim has none of the image's folders. */}}
{{- define "activity.folders" -}}
{{- if not .Values.storage.bucket }}
initContainers:
  - name: folders
    image: {{ include "activity.image" (dict "root" . "image" "jobs") }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: ["mkdir", "-p", "/data/checkpoints", "/data/lake/reports", "/data/models"]
    securityContext:
      {{- include "activity.containerSecurity" . | nindent 6 }}
    resources:
      requests: {cpu: 50m, memory: 32Mi}
      limits: {memory: 64Mi}
    volumeMounts: [{name: data, mountPath: /data}]
{{- end }}
{{- end }}

{{/* The pod that a driver makes its executors from; Spark adds name, image, memory, cores, variables and `args`. It has no token. */}}
{{- define "activity.executor" -}}
apiVersion: v1
kind: Pod
metadata:
  labels:
    {{- include "activity.labels" .it | nindent 4 }}
spec:
  {{- include "activity.pod" (dict "root" .root "account" .account) | nindent 2 }}
  containers:
    - name: executor
      command: ["bash", "/opt/activity/infra/docker/spark-executor.sh"]
      workingDir: /tmp
      env:
        - {name: HOME, value: /tmp}
        - {name: OMP_NUM_THREADS, value: "1"}
      securityContext:
        {{- include "activity.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "activity.mounts" .root | nindent 8 }}
  volumes:
    {{- include "activity.volumes" .root | nindent 4 }}
{{- end }}

{{/* Ports in a list of host:port or an address, one a line. */}}
{{- define "activity.ports" -}}
{{- range regexFindAll ":[0-9]+" . -1 }}
{{ trimPrefix ":" . }}
{{- end }}
{{- end }}
