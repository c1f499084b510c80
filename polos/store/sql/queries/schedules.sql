-- name: schedule_of
SELECT number, id, cron, timezone, next_at, is_paused, is_removed, catchup, overlap, project FROM schedule
WHERE workflow_id = :workflow_id AND key = :key AND is_declared = :is_declared

-- name: insert_schedule
INSERT INTO schedule (id, workflow_id, key, is_declared, project, cron, fields, timezone, catchup, overlap, next_at,
  created_at)
VALUES (:id, :workflow_id, :key, :is_declared, :project, :cron, :fields, :timezone, :catchup, :overlap, :next_at, :now)

-- name: change_schedule
UPDATE schedule SET project = :project, cron = :cron, fields = :fields, timezone = :timezone, catchup = :catchup,
  overlap = :overlap, is_removed = 0, next_at = :next_at, fault = NULL WHERE number = :number

-- name: remove_schedules
UPDATE schedule SET is_removed = 1, next_at = NULL
WHERE is_declared = 1 AND project = :project AND is_removed = 0
  AND workflow_id || '/' || key NOT IN (SELECT value FROM json_each(:declared))
RETURNING number

-- name: schedule_by_id
SELECT number, workflow_id, is_declared FROM schedule WHERE id = :id AND is_removed = 0

-- name: pause_schedule
UPDATE schedule SET is_paused = 1, next_at = NULL WHERE number = :number

-- name: resume_schedule
UPDATE schedule SET is_paused = 0, next_at = :next_at WHERE number = :number

-- name: delete_schedule
DELETE FROM schedule WHERE number = :number

-- name: due_schedules
SELECT number FROM schedule
WHERE next_at IS NOT NULL AND next_at <= :now
  AND EXISTS (SELECT 1 FROM worker w WHERE w.ended_at IS NULL AND w.claims NOT IN ('own', 'none'))
ORDER BY next_at LIMIT :limit

-- name: next_schedule
SELECT MIN(next_at) FROM schedule
WHERE next_at IS NOT NULL AND EXISTS (SELECT 1 FROM worker w WHERE w.ended_at IS NULL AND w.claims NOT IN ('own', 'none'))

-- name: schedule_row
SELECT s.number, s.id, s.workflow_id, s.key, s.is_declared, s.cron, s.fields, s.timezone, s.catchup, s.overlap, s.is_paused,
  s.next_at, s.last_at, s.started, s.skipped, s.missed, s.execution, s.fault,
  (SELECT COUNT(*) FROM slot q WHERE q.schedule = s.number), s.unreported
FROM schedule s WHERE s.number = :number

-- name: schedules
SELECT s.number, s.id, s.workflow_id, s.key, s.is_declared, s.cron, s.fields, s.timezone, s.catchup, s.overlap, s.is_paused,
  s.next_at, s.last_at, s.started, s.skipped, s.missed, s.execution, s.fault,
  (SELECT COUNT(*) FROM slot q WHERE q.schedule = s.number), s.unreported
FROM schedule s WHERE s.is_removed = 0 ORDER BY s.workflow_id, s.key, s.number

-- name: advance_schedule
UPDATE schedule SET next_at = :next_at, skipped = skipped + :skipped, missed = missed + :missed,
  unreported = unreported + :missed WHERE number = :number

-- name: skip_slots
UPDATE schedule SET skipped = skipped + :skipped WHERE number = :number

-- name: schedule_fault
UPDATE schedule SET next_at = NULL, fault = :fault WHERE number = :number

-- name: schedule_started
UPDATE schedule SET started = started + 1, last_at = :at, execution = :execution, unreported = 0 WHERE number = :number

-- name: schedule_backfilled
UPDATE schedule SET started = started + :count WHERE number = :number

-- name: is_schedule_busy
SELECT 1 FROM execution WHERE schedule = :number AND ended_at IS NULL LIMIT 1

-- name: insert_slot
INSERT INTO slot (schedule, at, missed) VALUES (:schedule, :at, :missed) ON CONFLICT (schedule, at) DO NOTHING

-- name: first_slot
SELECT at, missed FROM slot WHERE schedule = :schedule ORDER BY at LIMIT 1

-- name: delete_slot
DELETE FROM slot WHERE schedule = :schedule AND at = :at

-- name: delete_slots
DELETE FROM slot WHERE schedule = :schedule

-- name: count_slots
SELECT COUNT(*) FROM slot WHERE schedule = :schedule
