-- name: log_position
SELECT COALESCE(MAX(position), 0) FROM event

-- name: create_topic
INSERT INTO topic (name) VALUES (:name) ON CONFLICT (name) DO NOTHING

-- name: topic_id
SELECT id FROM topic WHERE name = :name

-- name: topic_name
SELECT name FROM topic WHERE id = :topic

-- name: advance_topic
UPDATE topic SET sequence = sequence + :count WHERE id = :topic RETURNING sequence

-- name: insert_event
INSERT INTO event (topic, sequence, id, type, data, shape, checksum, created_at)
VALUES (:topic, :sequence, :id, :type, :data, :shape, :checksum, :created_at)
RETURNING position

-- name: insert_lifecycle
INSERT INTO event (topic, sequence, type, data, checksum, created_at)
VALUES (:topic, :sequence, :type, :data, :checksum, :created_at)

-- name: event_by_id
SELECT e.position, e.sequence, t.name, e.data, e.shape FROM event e JOIN topic t ON t.id = e.topic WHERE e.id = :id

-- name: event_at
SELECT e.position, e.id, t.name, e.sequence, e.type, e.data, e.shape, e.checksum, e.created_at
FROM event e JOIN topic t ON t.id = e.topic WHERE e.position = :position

-- name: unseen_events
SELECT e.position, e.data FROM event e
WHERE e.topic = (SELECT id FROM topic WHERE name = :name) AND e.position > :since
  AND e.position NOT IN (
    SELECT event FROM journal WHERE execution = :execution AND event IS NOT NULL AND superseded = 0
      AND key NOT IN (SELECT key FROM released WHERE execution = :execution))
  AND (e.id IS NOT NULL)
ORDER BY e.sequence LIMIT :limit

-- name: release_event
INSERT INTO released (execution, key)
SELECT execution, key FROM journal WHERE execution = :execution AND key = :key AND superseded = 0 AND event IS NOT NULL
ON CONFLICT (execution, key) DO NOTHING
RETURNING key

-- name: topic_of_entry
SELECT t.name FROM journal j JOIN event e ON e.position = j.event JOIN topic t ON t.id = e.topic
WHERE j.execution = :execution AND j.key = :key AND j.superseded = 0
