import { JOBS, PERSONAL_TABLES, type Job, type PersonalTable } from '../catalogue.ts'
import { DatabaseError, type ErrorKind } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import type { FoundRows, NamedRow } from '../database/searching.ts'
import type { Hold } from '../policy/holds.ts'
import { lastKeptByRule, type Rule } from '../policy/rules.ts'
import type { SparedRows } from '../policy/spared.ts'
import { lastKept } from '../purge/cutoff.ts'
import { HOLDS } from '../runs/hold-tables.ts'
import { namingGrants } from '../runs/hold-rights.ts'
import { holdsInForce, mayHaveHolds } from '../runs/holds-in-force.ts'
import type { EpochMs } from '../time/clock.ts'

/** What the settings say of a job, as far as it decides when rows go. */
export interface SubjectJob {
  readonly job: Job
  readonly enabled: boolean
  readonly retentionMs: number | undefined
  readonly graceMs: number
  readonly rules: readonly Rule[]
}

export interface TablesRequest {
  readonly text: string
  readonly jobs: readonly SubjectJob[]
  /** How many rows of each table are named, at most. */
  readonly mostNamed: number
  readonly stopping: AbortSignal
}

export interface SubjectTables {
  readonly tables: readonly SubjectTable[]
  /** The holds in force on rows of each job that has any. */
  readonly holds: ReadonlyMap<Job, readonly Hold[]>
  /** What was not searched, or not as it should be; each a sentence. */
  readonly problems: readonly string[]
}

/** What a table holds of a person. */
export interface SubjectTable {
  readonly table: string
  /** The job that removes its rows; `undefined`: none does. */
  readonly job: Job | undefined
  /** `nameless`: no row of it names a person. `unsearched`: the problems say why. */
  readonly state: 'searched' | 'absent' | 'nameless' | 'unsearched'
  readonly columns: readonly string[]
  readonly rows: number
  readonly undated: number
  readonly unreadable: number
  /** The times of its earliest and latest row. */
  readonly times: Span | undefined
  /** How many of the rows go by themselves. */
  readonly going: number
  /** The first and the last of these go with the first run after these moments. */
  readonly keptUntil: Span | undefined
  /** Why none of its rows goes by itself: a clause; `undefined`: they do, but for what holds and rules keep, and what has no time. */
  readonly stays: string | undefined
  readonly holds: readonly Keeper[]
  readonly rules: readonly (Keeper & Pick<Rule, 'retentionMs'>)[]
  /** Some of the rows. */
  readonly named: readonly SubjectRow[]
}

export interface Span {
  readonly first: EpochMs
  readonly last: EpochMs
}

/** A hold or a rule, and how many of the rows it means. */
export interface Keeper {
  readonly name: string
  readonly rows: number
}

export interface SubjectRow extends Pick<NamedRow, 'id' | 'at'> {
  /** The first run after it deletes the row; `undefined`: none does, as things are. */
  readonly keptUntil: EpochMs | undefined
  readonly holds: readonly string[]
  readonly rules: readonly string[]
}

/** Searches every table in which a person may be named. Rejects if the database is lost, or if what is held cannot be told; otherwise what went wrong is among the problems. */
export async function searchTables(database: Database, request: TablesRequest): Promise<SubjectTables> {
  const holds = new Map<Job, readonly Hold[]>()
  for (const job of JOBS)
    if (await mayHaveHolds(database, job))
      holds.set(
        job,
        await namingGrants(
          database,
          { [HOLDS]: ['SELECT'] },
          () => 'Nothing was searched.',
          () => holdsInForce(database, database.named(HOLDS), job, 'Nothing was searched'),
        ),
      )
  const tables: SubjectTable[] = []
  const problems: string[] = []
  for (const personal of PERSONAL_TABLES) {
    const job = request.jobs.find((each) => each.job.table === personal.table)
    const searched = await searchTable(database, request, personal, job, job === undefined ? [] : (holds.get(job.job) ?? []))
    tables.push('problem' in searched ? notSearched(personal, job, 'unsearched') : searched)
    if ('problem' in searched) problems.push(searched.problem)
    else if (searched.state === 'searched' && searched.stays !== undefined && job?.enabled === true)
      problems.push(`${personal.table}: no run deletes rows of it, because ${searched.stays}.`)
  }
  if (tables.every(({ state }) => state === 'absent' || state === 'nameless'))
    problems.push(
      `${database.label.place}/${database.label.name} has none of the tables in which a person is named (${tables.map(({ table }) => table).join(', ')}). Nothing was searched. Check DATABASE_URL.`,
    )
  return { tables, holds, problems }
}

/** Without these nothing more can be asked. */
const FATAL: ReadonlySet<ErrorKind> = new Set(['lost', 'unreachable', 'invalid'])

async function searchTable(
  database: Database,
  request: TablesRequest,
  personal: PersonalTable,
  job: SubjectJob | undefined,
  holds: readonly Hold[],
): Promise<SubjectTable | { readonly problem: string }> {
  const { table, named } = personal
  if (named.length === 0) return notSearched(personal, job, 'nameless')
  const keepers = new Keepers(job, holds)
  try {
    const found = await namingGrants(
      database,
      { [table]: ['SELECT'] },
      () => `Table ${table} was not searched.`,
      () =>
        database.matching({
          table,
          columns: named,
          text: request.text,
          time: job?.job.column ?? personal.dated ?? '',
          spared: keepers.spared,
          mostNamed: request.mostNamed,
          stopping: request.stopping,
        }),
    )
    if (found.kind === 'absent') return notSearched(personal, job, 'absent')
    if (found.kind === 'unsearchable') return { problem: `${table}: was not searched, because ${found.reason}.` }
    return described(personal, job, keepers, found)
  } catch (error) {
    if (!(error instanceof DatabaseError) || FATAL.has(error.kind)) throw error
    return { problem: `${table}: was not searched: ${error.message}` }
  }
}

/** The rules and the holds of a job, in this order, as rows are told apart by them. */
class Keepers {
  readonly rules: readonly Rule[]
  readonly holds: readonly Hold[]
  readonly #job: SubjectJob | undefined

  constructor(job: SubjectJob | undefined, holds: readonly Hold[]) {
    this.#job = job
    this.rules = job?.rules ?? []
    this.holds = holds
  }

  /** Rules without their times: until when one keeps a row follows from the row's time. */
  get spared(): SparedRows {
    return [...this.rules.map(({ match }) => ({ match, from: undefined, until: undefined })), ...this.holds.map(({ spared }) => spared)]
  }

  rulesOf(spared: readonly number[]): readonly Rule[] {
    return spared.flatMap((place) => this.rules[place] ?? [])
  }

  holdsOf(spared: readonly number[]): readonly Hold[] {
    return spared.flatMap((place) => this.holds[place - this.rules.length] ?? [])
  }

  /** The last moment at which a run keeps a row; `undefined`: no run deletes it, as things are. */
  keptUntil(spared: readonly number[], lastCutoff: EpochMs): EpochMs | undefined {
    if (this.#job?.enabled !== true || this.holdsOf(spared).length > 0) return undefined
    const moments = this.rulesOf(spared).map((rule) => lastKeptByRule(rule, lastCutoff))
    return moments.includes(undefined) ? undefined : Math.max(lastKept(this.#job, lastCutoff), ...moments.map((moment) => moment!))
  }
}

function described({ table, stays }: PersonalTable, job: SubjectJob | undefined, keepers: Keepers, found: FoundRows): SubjectTable {
  const { groups, columns, named, undatable } = found
  const sum = (count: 'rows' | 'undated' | 'unreadable'): number => groups.reduce((total, group) => total + group[count], 0)
  const going = groups.flatMap(({ spared, rows, undated, unreadable, times }) => {
    const [first, last] = [times?.first, times?.last].map((at) => (at === undefined ? undefined : keepers.keptUntil(spared, at)))
    return first === undefined || last === undefined ? [] : [{ rows: rows - undated - unreadable, keptUntil: { first, last } }]
  })
  const rowsOf = (places: (spared: readonly number[]) => readonly unknown[], keeper: unknown): number =>
    groups.reduce((total, { spared, rows }) => total + (places(spared).includes(keeper) ? rows : 0), 0)
  return {
    table,
    job: job?.job,
    state: 'searched',
    columns,
    rows: sum('rows'),
    // Of a table without a usable time every row is read as one without a time.
    undated: sum('undated'),
    unreadable: sum('unreadable'),
    times: together(groups.flatMap(({ times }) => times ?? [])),
    going: going.reduce((total, { rows }) => total + rows, 0),
    keptUntil: together(going.map(({ keptUntil }) => keptUntil)),
    stays: job === undefined ? stays : job.enabled ? undatable : `the job ${job.job.name} is disabled`,
    holds: keepers.holds.map((hold) => ({ name: hold.name, rows: rowsOf((spared) => keepers.holdsOf(spared), hold) })).filter(isMet),
    rules: keepers.rules
      .map((rule) => ({ name: rule.name, retentionMs: rule.retentionMs, rows: rowsOf((spared) => keepers.rulesOf(spared), rule) }))
      .filter(isMet),
    named: named.map(({ id, at, spared }) => ({
      id,
      at,
      keptUntil: at === undefined ? undefined : keepers.keptUntil(spared, at),
      holds: keepers.holdsOf(spared).map(({ name }) => name),
      rules: keepers.rulesOf(spared).map(({ name }) => name),
    })),
  }
}

function isMet({ rows }: Keeper): boolean {
  return rows > 0
}

function together(spans: readonly Span[]): Span | undefined {
  if (spans.length === 0) return undefined
  return { first: Math.min(...spans.map(({ first }) => first)), last: Math.max(...spans.map(({ last }) => last)) }
}

function notSearched({ table, stays }: PersonalTable, job: SubjectJob | undefined, state: SubjectTable['state']): SubjectTable {
  return {
    table,
    job: job?.job,
    state,
    columns: [],
    rows: 0,
    undated: 0,
    unreadable: 0,
    times: undefined,
    going: 0,
    keptUntil: undefined,
    stays,
    holds: [],
    rules: [],
    named: [],
  }
}
