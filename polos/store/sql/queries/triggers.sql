-- name: put_trigger
INSERT INTO event_trigger (workflow_id, project, topic, is_prefix, batch_size, batch_timeout, created_at)
VALUES (:workflow_id, :project, :topic, :is_prefix, :batch_size, :batch_timeout, :now)
ON CONFLICT (workflow_id) DO UPDATE SET project = excluded.project, topic = excluded.topic, is_prefix = excluded.is_prefix,
  batch_size = excluded.batch_size, batch_timeout = excluded.batch_timeout

-- name: trigger_of
SELECT number, batch_size, batch_timeout FROM event_trigger WHERE workflow_id = :workflow_id

-- name: remove_triggers
DELETE FROM event_trigger WHERE project = :project AND workflow_id NOT IN (SELECT value FROM json_each(:declared))

-- name: forget_gathered
DELETE FROM gathered_event WHERE trigger_number NOT IN (SELECT number FROM event_trigger)

-- name: triggers_on
SELECT t.number, t.workflow_id, t.batch_size, t.batch_timeout,
  (SELECT COALESCE(SUM(g.bytes), 0) FROM gathered_event g WHERE g.trigger_number = t.number), t.due_at
FROM event_trigger t
WHERE t.topic = :topic OR (t.is_prefix = 1 AND substr(:topic, 1, length(t.topic)) = t.topic)
ORDER BY t.number

-- name: gather_event
INSERT INTO gathered_event (trigger_number, event, bytes) VALUES (:trigger, :event, :bytes)

-- name: count_gathered
SELECT COUNT(*) FROM gathered_event WHERE trigger_number = :trigger

-- name: gathered
SELECT e.position, e.id, t.name, e.sequence, e.type, e.data, e.shape, e.checksum, e.created_at
FROM gathered_event g JOIN event e ON e.position = g.event JOIN topic t ON t.id = e.topic
WHERE g.trigger_number = :trigger ORDER BY g.event LIMIT :limit

-- name: oldest_gathered
SELECT MIN(e.created_at) FROM gathered_event g JOIN event e ON e.position = g.event WHERE g.trigger_number = :trigger

-- name: forget_gathered_until
DELETE FROM gathered_event WHERE trigger_number = :trigger AND event <= :event

-- name: age_of_batch
UPDATE event_trigger SET due_at = :due_at WHERE number = :trigger

-- name: due_batches
SELECT number, workflow_id FROM event_trigger WHERE due_at IS NOT NULL AND due_at <= :now ORDER BY due_at

-- name: next_batch
SELECT MIN(due_at) FROM event_trigger WHERE due_at IS NOT NULL
