output "task_definition" {
  description = "For `aws ecs run-task --task-definition`."
  value       = aws_ecs_task_definition.this.family
}

output "role_arn" {
  description = "What the service is."
  value       = aws_iam_role.task.arn
}
