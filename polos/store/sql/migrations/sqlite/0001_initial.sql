CREATE TABLE execution (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  workflow_id TEXT NOT NULL,
  status TEXT NOT NULL,
  available_at INTEGER NOT NULL,
  worker_id TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  commit_number INTEGER NOT NULL DEFAULT 0,
  seq INTEGER NOT NULL DEFAULT 0,
  deaths INTEGER NOT NULL DEFAULT 0,
  life INTEGER NOT NULL DEFAULT 0,
  stored_bytes INTEGER NOT NULL DEFAULT 0,
  log_lines INTEGER NOT NULL DEFAULT 0,
  topic INTEGER NOT NULL,
  event_position INTEGER NOT NULL,
  parent INTEGER,
  parent_key TEXT,
  parent_index INTEGER,
  parent_life INTEGER NOT NULL DEFAULT 0,
  root INTEGER NOT NULL,
  session_id TEXT,
  user_id TEXT,
  queue TEXT,
  concurrency_key TEXT NOT NULL DEFAULT '',
  placed_at INTEGER NOT NULL,
  schedule INTEGER,
  idempotency_key TEXT,
  run_timeout INTEGER,
  ran_for INTEGER NOT NULL DEFAULT 0,
  seen_at INTEGER NOT NULL DEFAULT 0,
  ending TEXT,
  blocked_code TEXT,
  origin TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  error_type TEXT
);
CREATE INDEX execution_queued ON execution (available_at, number) WHERE status = 'queued';
CREATE INDEX execution_running ON execution (worker_id) WHERE status = 'running';
CREATE INDEX execution_lined ON execution (queue, concurrency_key, placed_at, number) WHERE status = 'queued' AND queue IS NOT NULL;
CREATE INDEX execution_placed ON execution (queue, concurrency_key) WHERE status = 'running' AND queue IS NOT NULL;
CREATE INDEX execution_scheduled ON execution (schedule) WHERE schedule IS NOT NULL AND ended_at IS NULL;
CREATE INDEX execution_blocked ON execution (number) WHERE status = 'blocked';
CREATE UNIQUE INDEX execution_child ON execution (parent, parent_key, parent_index, parent_life) WHERE parent IS NOT NULL;
CREATE INDEX execution_tree ON execution (root) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX execution_idempotency ON execution (workflow_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What a start gave, and what the end left: written once, apart from the row that every commit updates.
CREATE TABLE input (
  execution INTEGER PRIMARY KEY,
  value TEXT NOT NULL,
  shape TEXT,
  checksum INTEGER NOT NULL,
  state TEXT,
  state_shape TEXT,
  state_checksum INTEGER
);
CREATE TABLE result (
  execution INTEGER PRIMARY KEY,
  value TEXT,
  shape TEXT,
  checksum INTEGER,
  failure TEXT,
  cause_key TEXT,
  reason TEXT
);

-- What a workflow keeps in ctx.state, as of its last commit.
CREATE TABLE state (
  execution INTEGER PRIMARY KEY,
  value TEXT NOT NULL,
  shape TEXT,
  checksum INTEGER NOT NULL
);

-- Ends that a retry took back; `number` is the life that ended, from 1, and `superseded` of the rows it took back.
CREATE TABLE life (
  execution INTEGER NOT NULL,
  number INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error_type TEXT,
  failure TEXT,
  cause_key TEXT,
  ended_at INTEGER NOT NULL,
  retried_at INTEGER NOT NULL,
  PRIMARY KEY (execution, number)
);

-- Executions that are forks: of whom (who may be of another database), before which step, and what was edited.
CREATE TABLE fork (
  execution INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  source_number INTEGER NOT NULL,
  source_workflow TEXT NOT NULL,
  at TEXT,
  kept INTEGER NOT NULL,
  has_other_input INTEGER NOT NULL,
  edits TEXT NOT NULL
);
CREATE INDEX fork_source ON fork (source);

CREATE TABLE journal (
  position INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  key TEXT NOT NULL,
  superseded INTEGER NOT NULL DEFAULT 0,
  seq INTEGER NOT NULL,
  after INTEGER NOT NULL,
  kind TEXT NOT NULL,
  outcome TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  value TEXT,
  shape TEXT,
  checksum INTEGER,
  failure TEXT,
  request TEXT,
  event INTEGER,
  site TEXT NOT NULL,
  arguments TEXT,
  code TEXT,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX journal_key ON journal (execution, key, superseded);

CREATE TABLE wait (
  position INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  after INTEGER NOT NULL,
  channel TEXT,
  deadline INTEGER,
  match TEXT,
  since INTEGER NOT NULL DEFAULT 0,
  remaining INTEGER NOT NULL DEFAULT 1,
  request TEXT,
  site TEXT NOT NULL,
  started_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX wait_key ON wait (execution, key);
CREATE INDEX wait_channel ON wait (channel, position) WHERE channel IS NOT NULL;
CREATE INDEX wait_deadline ON wait (deadline) WHERE deadline IS NOT NULL;

-- Event waits that the code gave up before their outcome reached it: their event counts as unseen (S4.2).
CREATE TABLE released (
  execution INTEGER NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (execution, key)
);

CREATE TABLE attempt (
  position INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  key TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  failure TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  superseded INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attempt_execution ON attempt (execution, key, attempt);

CREATE TABLE answer (
  position INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  value TEXT NOT NULL,
  shape TEXT,
  checksum INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX answer_key ON answer (execution, key);

CREATE TABLE topic (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  sequence INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE event (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  topic INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  id TEXT,
  type TEXT,
  data TEXT NOT NULL,
  shape TEXT,
  checksum INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX event_topic ON event (topic, sequence);
CREATE UNIQUE INDEX event_id ON event (id) WHERE id IS NOT NULL;

-- What starts executions from events; `due_at`: when the batch under way is to start one, full or not.
CREATE TABLE event_trigger (
  number INTEGER PRIMARY KEY,
  workflow_id TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  topic TEXT NOT NULL,
  is_prefix INTEGER NOT NULL,
  batch_size INTEGER NOT NULL,
  batch_timeout INTEGER,
  due_at INTEGER,
  created_at INTEGER NOT NULL
);
CREATE INDEX event_trigger_due ON event_trigger (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE gathered_event (
  trigger_number INTEGER NOT NULL,
  event INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (trigger_number, event)
);

-- What starts executions by the clock. Declared ones follow the code of their project; is_removed: the code has it no more.
CREATE TABLE schedule (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  workflow_id TEXT NOT NULL,
  key TEXT NOT NULL,
  is_declared INTEGER NOT NULL,
  project TEXT NOT NULL,
  cron TEXT NOT NULL,
  fields TEXT NOT NULL,
  timezone TEXT NOT NULL,
  catchup TEXT NOT NULL,
  overlap TEXT NOT NULL,
  is_paused INTEGER NOT NULL DEFAULT 0,
  is_removed INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,
  last_at INTEGER,
  started INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  missed INTEGER NOT NULL DEFAULT 0,
  unreported INTEGER NOT NULL DEFAULT 0,
  execution INTEGER,
  fault TEXT,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX schedule_key ON schedule (workflow_id, key, is_declared);
CREATE INDEX schedule_due ON schedule (next_at) WHERE next_at IS NOT NULL;

-- Slots that wait for the execution before them.
CREATE TABLE slot (
  schedule INTEGER NOT NULL,
  at INTEGER NOT NULL,
  missed INTEGER NOT NULL,
  PRIMARY KEY (schedule, at)
);

CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  concurrency_limit INTEGER
);

-- What the newest manifest says of a workflow.
CREATE TABLE declared (
  workflow_id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  complete INTEGER NOT NULL,
  queue TEXT,
  about TEXT
);

CREATE TABLE log (
  position INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  key TEXT,
  attempt INTEGER NOT NULL,
  number INTEGER NOT NULL,
  level TEXT NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX log_execution ON log (execution, position);

-- Earlier ids of workflows, each with the one of today.
CREATE TABLE workflow_alias (
  alias TEXT PRIMARY KEY,
  workflow_id TEXT NOT NULL,
  project TEXT NOT NULL
);
CREATE INDEX workflow_alias_of ON workflow_alias (workflow_id);

CREATE TABLE worker (
  id TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  project TEXT NOT NULL,
  complete INTEGER NOT NULL,
  claims TEXT NOT NULL,
  workflow_ids TEXT NOT NULL,
  code TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER
);
