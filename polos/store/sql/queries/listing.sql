-- name: execution_columns
SELECT e.number, e.id, e.workflow_id, e.status, e.created_at, e.started_at, e.ended_at, e.available_at, e.epoch, e.seq,
  e.deaths, e.life, e.stored_bytes, e.log_lines, e.worker_id, p.id, e.parent_key, r.id, r.workflow_id, e.session_id,
  e.user_id, e.idempotency_key, e.run_timeout, i.value, i.shape, i.checksum, i.state, i.state_shape, i.state_checksum,
  x.value, x.shape, x.checksum, x.failure, x.cause_key, x.reason, e.error_type, e.blocked_code, e.queue,
  e.concurrency_key, e.placed_at, e.ran_for, e.ending, e.schedule, s.value, s.shape, s.checksum
FROM execution e JOIN input i ON i.execution = e.number JOIN execution r ON r.number = e.root
  LEFT JOIN execution p ON p.number = e.parent LEFT JOIN result x ON x.execution = e.number
  LEFT JOIN state s ON s.execution = e.number

-- name: execution_heads
SELECT e.number, e.id, e.workflow_id, e.status, e.created_at, e.started_at, e.ended_at, e.available_at, e.epoch, e.seq,
  e.deaths, e.life, e.stored_bytes, e.log_lines, e.worker_id, p.id, e.parent_key, r.id, r.workflow_id, e.session_id,
  e.user_id, e.idempotency_key, e.run_timeout, 'null', NULL, 0, NULL, NULL, NULL,
  NULL, NULL, NULL, x.failure, x.cause_key, x.reason, e.error_type, e.blocked_code, e.queue,
  e.concurrency_key, e.placed_at, e.ran_for, e.ending, e.schedule, NULL, NULL, NULL
FROM execution e JOIN execution r ON r.number = e.root LEFT JOIN execution p ON p.number = e.parent
  LEFT JOIN result x ON x.execution = e.number AND e.status IN ('failed', 'blocked')

-- name: event_columns
SELECT e.position, e.id, t.name, e.sequence, e.type, e.data, e.shape, e.checksum, e.created_at
FROM event e JOIN topic t ON t.id = e.topic

-- name: log_columns
SELECT l.position, x.id, l.at, l.level, l.text, l.key, l.attempt, l.number, l.stream
FROM log l JOIN execution x ON x.number = l.execution

-- name: counts
SELECT status, COUNT(*) FROM execution GROUP BY status
