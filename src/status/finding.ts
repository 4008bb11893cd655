/** Something that a person should look at. */
export interface Finding {
  /** For programs. A published code never changes. */
  readonly code: FindingCode
  /** `fault`: something does not work, or will not. `advice`: everything works, but perhaps not as intended. */
  readonly level: 'fault' | 'advice'
  readonly sentence: string
  /** What to do, if the sentence does not say it. */
  readonly action: string | undefined
}

export type FindingCode =
  | 'database-unreachable'
  | 'database-in-doubt'
  | 'space-not-reused'
  | 'migrations-pending'
  | 'migrations-refused'
  | 'job-late'
  | 'job-failed'
  | 'job-stopped'
  | 'job-hindered'
  | 'job-in-doubt'
  | 'hold-review-due'
  | 'run-unrecorded'
  | 'archive-damaged'
  | 'archive-hindered'
  | 'archive-in-doubt'
  | 'partitions-refusing'
  | 'partitions-unfinished'
  | 'partitions-running-out'
  | 'partitions-hindered'
  | 'partitions-disabled'
  | 'partitions-default-filled'
  | 'partitions-detached'
  | 'partitions-in-doubt'
  | DoctorCode

/** Of what only `doctor` looks at, since it takes longer or concerns whoever installs it. */
export type DoctorCode =
  | 'schema-table'
  | 'schema-column'
  | 'schema-key'
  | 'schema-view'
  | 'schema-index'
  | 'schema-index-invalid'
  | 'schema-index-doubled'
  | 'schema-trigger'
  | 'schema-trigger-unknown'
  | 'schema-function'
  | 'schema-rule'
  | 'schema-row-security'
  | 'schema-foreign-key'
  | 'schema-owner'
  | 'rights-missing'
  | 'rights-beyond'
  | 'settings-surprising'
  | 'clocks-differ'
  | 'clock-set-back'
  | 'lease-abandoned'
  | 'server-settings'
  | 'vacuum-old-transaction'
  | 'vacuum-prepared-transaction'
  | 'vacuum-replication-slot'
  | 'database-journal'
  | 'database-log-large'
  | 'database-files'
  | 'database-damaged'
  | 'archive-unreachable'
  | 'archive-unwritable'
  | 'archive-access'
  | 'archive-unverified'
  | 'disk-full'

export function fault(code: FindingCode, sentence: string, action?: string): Finding {
  return { code, level: 'fault', sentence, action }
}

export function advice(code: FindingCode, sentence: string, action?: string): Finding {
  return { code, level: 'advice', sentence, action }
}
