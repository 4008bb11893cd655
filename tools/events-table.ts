import { pino } from 'pino'
import { DatabaseError } from '../src/database/database-error.ts'
import { MaintenanceError } from '../src/errors.ts'
import { openEvents, type Events } from '../src/observe/events.ts'

/** The description of an event, and a call that logs it with every field it can have. */
interface Sample {
  readonly meaning: string
  readonly log: (events: Events) => void
}

const error = new MaintenanceError('JOB_FAILED', 'x')

/** In the order in which a run of the worker reports them. */
const SAMPLES: readonly Sample[] = [
  {
    meaning: 'the settings hold and the database answers; `database` has `engine`, `place`, `name`',
    log: (events) => events.workerStarted({ version: '', database: { engine: '', place: '', name: '' }, jobs: [], timeZone: '' }),
  },
  { meaning: 'one migration is applied', log: (events) => events.applied({ version: 1, name: '', durationMs: 0 }) },
  { meaning: 'none is pending any more: how many this start applied, and the newest', log: (events) => events.current(0, 0) },
  {
    meaning:
      'one for each run; `outcome` is `succeeded` `failed` `skipped` `interrupted` `stopped`, `trigger` is `run-now` `schedule` `catch-up`; kept rows are `undated` ' +
      '(NULL), `unreadable`, `locked`, `held` (by legal holds, of which `holds` are in force), `tooLarge` (for the archive); `cascaded` are rows that foreign keys deleted or changed along; `cameBack` are rows that the run had deleted and that are there again, because the database lost the commits in a failover or a crash: they are not in `deleted`; `expired` with a dry run; what begins with `archive` where its rows are archived: what the run added, what it removed because its time had come, how long the oldest row ' +
      'has waited that is not in the archive by then, and what `archive verify` last found; `receipt` where it was allowed to delete audit logs, by which a receipt is known outside the database; `reason` when skipped; `err` when failed or stopped',
    log: runs,
  },
  { meaning: 'HTTP is enabled, and answers there', log: (events) => events.listening('') },
  { meaning: 'it ended in order; `reason` is the signal', log: (events) => events.workerStopped('', 0) },
  { meaning: 'there was no SQLite file; it was made', log: (events) => events.created('') },
  {
    meaning: 'it cannot be used yet, at a start or after a loss: it does not answer, or is a standby',
    log: (events) => events.awaiting('', ''),
  },
  {
    meaning: 'the connection broke, or its server vanished or takes no writes any more; it is tried again for as long as it takes',
    log: (events) => events.lost(new DatabaseError('lost', '')),
  },
  { meaning: 'it is back', log: (events) => events.regained(0) },
  { meaning: 'another worker is migrating', log: (events) => events.waiting('', 0) },
  { meaning: 'a table is locked; the file was rolled back and is tried again', log: (events) => events.blocked('', '', 0) },
  { meaning: 'an index that an attempt that died left half built was dropped, to be made again', log: (events) => events.healed('', '') },
  { meaning: 'a large table gets an index: how long writing to it may have to wait', log: (events) => events.slowIndex('', 0, '') },
  {
    meaning: 'a migration is about to give rights on its tables to the roles that run jobs',
    log: (events) => events.granting('', [''], ['']),
  },
  {
    meaning: 'a legal hold was placed: `rows` of the table match, or more; what it matches is not logged, since that may name a person',
    log: (events) => events.holdPlaced(HOLD),
  },
  { meaning: 'it was released: `rows` go in the next run, because nothing else keeps them', log: (events) => events.holdReleased(HOLD) },
  {
    meaning: 'partitions of a table that was turned into partitions were made for the next days',
    log: (events) => events.partitionsMade('', ['']),
  },
  {
    meaning: 'some days get no partition, because DEFAULT has rows of them already; said once, and again after it was over',
    log: (events) => events.partitionsSkipped('', ''),
  },
  {
    meaning: 'partitions were to be made, and were not; said once, and again after it was over',
    log: (events) => events.partitionsNotMade('', ''),
  },
  { meaning: 'a run has its lease', log: (events) => events.jobStarted('', { trigger: 'schedule', dryRun: false }) },
  {
    meaning: 'one batch is committed; `total` is of the run',
    log: (events) => events.jobBatch('', { affected: 0, total: 0, durationMs: 0 }),
  },
  {
    meaning: 'between batches; `reason` is `polite` `contended` `hold` `retry` `reconnect`',
    log: (events) => events.jobPaused('', 0, 'polite'),
  },
  { meaning: 'something about one job', log: (events) => events.jobWarning('', '') },
  { meaning: 'something to look at', log: (events) => events.warning('') },
  { meaning: 'something to know', log: (events) => events.note('') },
  { meaning: 'why the program ends, a line for each problem; `err` for an unforeseen one', log: failures },
]

const HOLD = { id: 1, name: '', by: '', reason: '', rows: 0, more: false, receipt: { n: 1, sha256: '' } }

function runs(events: Events): void {
  const growth = { rows: 0, bytes: 0, files: 0 }
  const archived = { ...growth, removed: growth, lagMs: 0, verification: { at: 0, sound: true } }
  const counts = {
    deleted: 0,
    cameBack: 0,
    expired: 0,
    archived,
    batches: 0,
    undated: 0,
    unreadable: 0,
    locked: 0,
    held: 0,
    holds: 0,
    tooLarge: 0,
    cascaded: 0,
    durationMs: 0,
  }
  for (const outcome of ['succeeded', 'failed'] as const)
    events.jobFinished({
      ...counts,
      job: '',
      trigger: 'schedule',
      dryRun: true,
      outcome,
      reason: '',
      error,
      recorded: true,
      expiredByDay: undefined,
      sparedByDay: undefined,
      exitCode: 0,
      cutoff: 0,
      receipt: { n: 1, sha256: '' },
    })
}

function failures(events: Events): void {
  events.failed(error)
  events.failed(new Error('x'))
}

/** Cells of the table: event, level, fields, meaning. */
export function eventRows(): readonly (readonly string[])[] {
  return SAMPLES.map(({ meaning, log }) => {
    const lines: Record<string, unknown>[] = []
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
    log(openEvents(pino({ level: 'trace', base: null, timestamp: false, formatters: { level: (level) => ({ level }) } }, { write })))
    const fields = new Set(lines.flatMap((line) => Object.keys(line)))
    for (const common of ['level', 'event', 'msg']) fields.delete(common)
    const levels = new Set(lines.map((line) => String(line['level'])))
    return [`\`${String(lines[0]?.['event'])}\``, [...levels].join(', '), [...fields].map((field) => `\`${field}\``).join(' '), meaning]
  })
}
