import { retentionOf } from '../../src/catalogue.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { asText, isSqlite } from './dialect.ts'
import { insertInto, SUBJECTS, type Subject } from './subjects.ts'
import { must, mustNot } from './violation.ts'

/** Every deletion that was committed: a trigger writes it in the transaction that deletes, so that a rollback takes it back too. */
export const DELETIONS = 'fault_deletions'

const DAYS_KEPT = 90

export interface Written {
  go: number
  stay: number
}

/** Knows what was written and what had to become of it. Whatever it asks, it asks the database from outside the program. */
export class Truth {
  readonly written: ReadonlyMap<string, Written> = new Map(SUBJECTS.map(({ table }) => [table, { go: 0, stay: 0 }]))
  /** The host's clock was moved under a worker: the times it left behind prove nothing. */
  clockMoved = false
  readonly #engine: TestEngine
  readonly #database: TestDatabase
  #batch = 0

  constructor(engine: TestEngine, database: TestDatabase) {
    this.#engine = engine
    this.#database = database
  }

  /** From here on deletions are seen; once the tables are there. */
  async watch(): Promise<void> {
    await this.#database.sql(`CREATE TABLE ${DELETIONS} (tab TEXT NOT NULL, mark TEXT NOT NULL, due TEXT NOT NULL, gone_at TEXT NOT NULL)`)
    for (const each of SUBJECTS) for (const sql of triggers(this.#engine, each)) await this.#database.sql(sql)
  }

  /** Rows that have expired and rows that have not. */
  async write(subjects: readonly Subject[], go: number, stay: number): Promise<void> {
    for (const subject of subjects) {
      await this.writeRows(subject, 'go', go, subject.expired)
      await this.writeRows(subject, 'stay', stay, subject.living)
    }
  }

  /** In one transaction, each at its own number of `seconds` from now, in SQL. */
  async writeRows(subject: Subject, kind: keyof Written, rows: number, seconds: string): Promise<void> {
    this.#batch += 1
    const numbers = 'WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) SELECT n FROM numbers'
    const sql = insertInto(subject, `'${kind}-${this.#batch}-' || n`, this.#engine.momentOf(seconds), `FROM (${numbers}) AS numbers`)
    if (rows > 0) await this.#database.sql(sql, [rows])
    this.note(subject, kind, rows)
  }

  /** Somebody else wrote them. */
  note({ table }: Subject, kind: keyof Written, rows: number): void {
    this.written.get(table)![kind] += rows
  }

  /** How many rows of it were deleted until now. */
  async gone({ table }: Subject): Promise<number> {
    const [row] = await this.#database.sql<{ n: number }>(`SELECT count(*) AS n FROM ${DELETIONS} WHERE tab = $1`, [table])
    return row!.n
  }

  /**
   * What is there against what has to be there. `settled`: an undisturbed run has ended since, so that nothing expired may be left. Answers with
   * how many rows were deleted.
   */
  async check({ settled }: { readonly settled: boolean }): Promise<number> {
    let deleted = 0
    for (const subject of SUBJECTS) deleted += await this.#checkRows(subject, settled)
    await this.#checkRuns(settled)
    return deleted
  }

  async #checkRows({ job, table, mark, time }: Subject, settled: boolean): Promise<number> {
    const { go, stay } = this.written.get(table)!
    const [present] = await this.#database.sql<{ go: number; stay: number }>(
      `SELECT ${counted(`${mark} LIKE 'go-%'`)} AS go, ${counted(`${mark} LIKE 'stay-%'`)} AS stay FROM ${table}`,
    )
    const [gone] = await this.#database.sql<{ n: number; marks: number; go: number; stay: number; early: number }>(
      `SELECT count(*) AS n, count(DISTINCT mark) AS marks, ${counted("mark LIKE 'go-%'")} AS go, ${counted("mark LIKE 'stay-%'")} AS stay,
       ${counted(retentionOf(job) === undefined ? 'due > gone_at' : `due > ${asText(this.#engine, this.#engine.moment(-DAYS_KEPT * 86_400))}`)} AS early
       FROM ${DELETIONS} WHERE tab = $1`,
      [table],
    )
    const [runs] = await this.#database.sql<{ n: number }>(
      'SELECT CAST(coalesce(sum(rows_deleted), 0) AS BIGINT) AS n FROM maintenance_runs WHERE job = $1',
      [job.name],
    )
    const early = this.clockMoved ? 0 : gone!.early
    mustNot('rows deleted that should stay', gone!.stay + early, `of ${table}, by the trigger's record; ${early} before their ${time}`)
    mustNot('rows deleted twice', gone!.n - gone!.marks, `of ${table}, by the trigger's record`)
    mustNot('rows lost', stay - present!.stay, `of ${table}: ${stay} had to stay, ${present!.stay} are there`)
    mustNot('rows lost', go - present!.go - gone!.go, `of ${table}: ${go} could go, ${present!.go} are there and ${gone!.go} were deleted`)
    mustNot(
      'rows deleted twice',
      Math.max(0, runs!.n - gone!.n),
      `by the count of ${job.name}: its runs say ${runs!.n}, ${gone!.n} are gone`,
    )
    must(runs!.n === gone!.n, `${gone!.n} rows of ${table} were deleted, and the runs of ${job.name} tell of ${runs!.n}`)
    if (settled) must(present!.go === 0, `${present!.go} expired rows of ${table} are left after an undisturbed run`)
    return gone!.n
  }

  async #checkRuns(settled: boolean): Promise<void> {
    const runs = await this.#database.sql<Run>('SELECT id, job, outcome, started_at, finished_at FROM maintenance_runs ORDER BY job, id')
    for (const [at, run] of runs.entries()) {
      if (settled) must(run.outcome !== null, `run ${run.id} of ${run.job} is still open`)
      const before = runs[at - 1]
      if (before === undefined || before.job !== run.job || this.clockMoved) continue
      must(
        before.finished_at !== null && before.finished_at <= run.started_at + LOCK_WAIT_MS,
        `two runs of ${run.job} at a time: ${before.id} ended at ${before.finished_at}, ${run.id} began at ${run.started_at}`,
      )
    }
  }
}

interface Run {
  readonly id: number
  readonly job: string
  readonly outcome: string | null
  readonly started_at: number
  readonly finished_at: number | null
}

/** A claim may read the clock, then wait for the lease's row until the run before has ended. */
const LOCK_WAIT_MS = 250

function counted(condition: string): string {
  return `CAST(coalesce(sum(CASE WHEN ${condition} THEN 1 ELSE 0 END), 0) AS BIGINT)`
}

/** Nothing but an INSERT after the deletion: it neither delays, nor refuses, nor locks what the worker works on. */
function triggers(engine: TestEngine, { table, mark, time }: Subject): string[] {
  const name = `fault_note_${table}`
  if (isSqlite(engine)) {
    const now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'"
    return [
      `CREATE TRIGGER ${name} AFTER DELETE ON ${table} BEGIN INSERT INTO ${DELETIONS} VALUES ('${table}', OLD.${mark}, OLD.${time}, ${now}); END`,
    ]
  }
  const now = asText(engine, "clock_timestamp() AT TIME ZONE 'UTC'")
  return [
    `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO public.${DELETIONS} VALUES ('${table}', OLD.${mark}, ${asText(engine, `OLD.${time}`)}, ${now}); RETURN NULL; END $$`,
    `CREATE TRIGGER ${name} AFTER DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
  ]
}
