"""Times in SQL: UTC microseconds since 1970 to timestamptz and back. Each is a template with one place for a value."""

AS_TIME = "timestamptz 'epoch' + {} * interval '1 microsecond'"
AS_US = "(extract(epoch FROM {}) * 1000000)::bigint"
