-- A database of the first version, as `sqlite3 lens.db .dump` writes it: no version was kept in it.
BEGIN TRANSACTION;
CREATE TABLE framework_detection (
	id INTEGER NOT NULL, 
	workload_uid VARCHAR(256) NOT NULL, 
	pod_uuid VARCHAR(256) NOT NULL, 
	pod_name VARCHAR(256) NOT NULL, 
	namespace VARCHAR(256) NOT NULL, 
	data_source VARCHAR(256) NOT NULL, 
	type VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	evidence JSON NOT NULL, 
	hints JSON NOT NULL, 
	time_ms BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "framework_detection" VALUES(1,'w','','','','','','','{"hardware":{"gpu_count":8}}','{"confidence":"high"}',5000,'2026-11-21 11:39:11.142858');
CREATE TABLE training_performance (
	id INTEGER NOT NULL, 
	workload_uid VARCHAR(256) NOT NULL, 
	run_id VARCHAR(256) NOT NULL, 
	data_source VARCHAR(256) NOT NULL, 
	iteration INTEGER NOT NULL, 
	pod_uuid VARCHAR(256) NOT NULL, 
	serial INTEGER NOT NULL, 
	performance JSON NOT NULL, 
	times_ms JSON NOT NULL, 
	first_time_ms BIGINT NOT NULL, 
	last_time_ms BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_training_performance_step UNIQUE (workload_uid, run_id, data_source, iteration)
);
INSERT INTO "training_performance" VALUES(1,'w','r1','wandb',1,'pod-0',0,'{"run_id":"r1","loss":0.30000000000000004,"lr":0.5,"acc":5e-324}','{"loss":1001000,"lr":1001000,"acc":1003500}',1001000,1003500,'2026-11-21 11:39:11.139760','2026-11-21 11:39:11.141236');
INSERT INTO "training_performance" VALUES(2,'w','r1','wandb',2,'pod-0',0,'{"run_id":"r1","loss":0.25}','{"loss":1004000}',1004000,1004000,'2026-11-21 11:39:11.141478','2026-11-21 11:39:11.141478');
INSERT INTO "training_performance" VALUES(3,'w','r2','wandb',1,'pod-0',0,'{"run_id":"r2","loss":0.3333333333333333}','{"loss":1000000}',1000000,1000000,'2026-11-21 11:39:11.141478','2026-11-21 11:39:11.141478');
INSERT INTO "training_performance" VALUES(4,'w','r1','tensorboard',-7,'pod-0',0,'{"run_id":"r1","loss":2.0}','{"loss":999000}',999000,999000,'2026-11-21 11:39:11.141478','2026-11-21 11:39:11.141478');
INSERT INTO "training_performance" VALUES(5,'w','r1','wandb',3,'pod-0',0,'{"run_id":"r1","name'' \"%s\"":1.0,"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn":2.0}','{"name'' \"%s\"":1005000,"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn":1005000}',1005000,1005000,'2026-11-21 11:39:11.142135','2026-11-21 11:39:11.142135');
CREATE TABLE wandb_logs (
	id INTEGER NOT NULL, 
	workload_uid VARCHAR(256) NOT NULL, 
	run_id VARCHAR(256) NOT NULL, 
	pod_uuid VARCHAR(256) NOT NULL, 
	data_source VARCHAR(256) NOT NULL, 
	step BIGINT NOT NULL, 
	time_ms BIGINT NOT NULL, 
	data JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "wandb_logs" VALUES(1,'w','r1','','',1,0,'{"text":"ü"}','2026-11-21 11:39:11.143267');
CREATE INDEX ix_training_performance_run_id ON training_performance (run_id);
CREATE INDEX ix_framework_detection_workload_uid ON framework_detection (workload_uid);
CREATE INDEX ix_wandb_logs_workload_run ON wandb_logs (workload_uid, run_id);
COMMIT;
