import { NOTHING_SPARED, type Spared, type SparedRows } from '../../../policy/spared.ts'
import type { EpochMs } from '../../../time/clock.ts'
import { DayCounts } from '../../../time/day-counts.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Census, Estimate, ExpiredRows, Slice, SparedCount, SparedExpired, Tally, TimeColumn } from '../../purging.ts'
import type { Query, Session, Transaction } from '../../query.ts'
import { qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { cutoffText, timeTypeOf } from '../times.ts'
import { NOTHING_TAKEN, withCascaded, type Taken } from './cascaded.ts'
import { estimate, type Look } from './estimate.ts'
import { daysSince, keptUntil } from './look-ups.ts'
import { removeRows, type LockBackoff, type Unflushed } from './removal.ts'
import * as sql from './slice-sql.ts'
import { sparedAmong, sparedInTable } from './spared-counts.ts'
import { Sparing, unspared } from './spared-sql.ts'
import type { Expired } from './edges.ts'
import { surveyOf } from './survey.ts'
import { BEGINNING, nextSlice, type Place, type SliceKind, type Walk } from './walk.ts'

export interface SliceOptions {
  readonly query: Query
  readonly look: Look
  /** A read-only transaction that may read many rows. */
  readonly scan: Session['transaction']
  readonly schema: string
  readonly timeZone: string
  readonly lockBackoff: LockBackoff
  readonly unflushed: Unflushed
  /** The tables for which `inspect` found that the planner has to be steered. */
  readonly steered: ReadonlySet<string>
  /** What `inspect` found that foreign keys take along. */
  readonly taken: ReadonlyMap<string, Taken>
}

/** The rows of one run. What is known of the table is looked up when it is first needed. */
export class PostgresExpiredRows<S extends PostgresSlice = PostgresSlice> implements ExpiredRows {
  readonly #options: SliceOptions
  readonly #column: TimeColumn
  readonly #cutoff: EpochMs
  readonly #spared: SparedRows
  readonly #kindOf: (expired: Expired) => Promise<SliceKind<S>>
  #known: Promise<Walk<S>> | undefined

  constructor(
    options: SliceOptions,
    column: TimeColumn,
    cutoff: EpochMs,
    spared: SparedRows,
    kindOf: (expired: Expired) => Promise<SliceKind<S>>,
  ) {
    this.#options = options
    this.#column = column
    this.#cutoff = cutoff
    this.#spared = spared
    this.#kindOf = kindOf
  }

  /** `until`: see `ExportedRows`. */
  async next(size: number, after: Slice | undefined, until?: Slice): Promise<S | undefined> {
    const end = until === undefined ? undefined : endOf(until)
    return nextSlice(await this.walk(), size, after === undefined ? BEGINNING : endOf(after), end)
  }

  async survey(spared: SparedRows): Promise<SparedExpired> {
    const { expired, kind } = await this.walk()
    if (this.#spared.length === 0) return sparedAmong(expired, await expired.testsOf(expired.query, spared, false))
    const asked = [...new Set(spared)]
    const all = [...new Set([...this.#spared, ...asked])]
    const tests = (await expired.testsOf(expired.query, all, false)).map((test, index) => {
      const each = all[index]!
      return { test, isWalked: this.#spared.includes(each), asked: asked.includes(each) ? asked.indexOf(each) : undefined }
    })
    const { spared: counts, stretches } = await surveyOf(expired, tests, asked.length)
    this.#known = Promise.resolve({ expired: { ...expired, stretches }, kind })
    return { each: spared.map((each) => counts.each[asked.indexOf(each)]!), together: counts.together }
  }

  async sparedBy(spared: SparedRows): Promise<SparedExpired> {
    const { expired } = await this.walk()
    return sparedAmong(expired, await expired.testsOf(expired.query, spared, false))
  }

  /** See `Purgeable.sparedBy`. */
  async sparedInTable(spared: Spared, most: number): Promise<SparedCount> {
    const { expired } = await this.walk()
    const [test] = await expired.testsOf(expired.query, [spared], false)
    return sparedInTable(expired, test!, most)
  }

  async estimate(since?: EpochMs): Promise<Estimate> {
    const { expired } = await this.walk()
    return estimate(this.#options.look, expired, since)
  }

  async census(): Promise<Census> {
    return census((await this.walk()).expired)
  }

  async keptUntil(until: EpochMs, most: number): Promise<number> {
    return keptUntil((await this.walk()).expired, until, most)
  }

  async daysSince(from: EpochMs, most: number): Promise<number> {
    return daysSince((await this.walk()).expired, from, most)
  }

  protected walk(): Promise<Walk<S>> {
    // A failed look-up is not cached: the next call may have a connection again.
    this.#known ??= this.#lookedUp().catch((error: unknown) => {
      this.#known = undefined
      throw error
    })
    return this.#known
  }

  async #lookedUp(): Promise<Walk<S>> {
    const { query, look, scan, schema, timeZone, lockBackoff, unflushed, steered, taken } = this.#options
    const { table, column } = this.#column
    const { rows } = await query.query<{ type: string; may_lock: boolean }>(sql.TIME_COLUMN, [schema, table, column])
    const trusted = await mustBeTrusted(query, schema, [table])
    const title = `${schema}.${table}`
    const type = timeTypeOf(rows[0]?.type ?? '')
    if (rows[0] === undefined || type === undefined || !trusted.has(table)) {
      throw new DatabaseError(
        'failed',
        `Column "${column}" of table ${title} is neither timestamp nor timestamptz. No row of the table was deleted. Change its type, or disable the job.`,
      )
    }
    const sparing = new Sparing({ schema, name: table, title, column: quoted(column), type, timeZone })
    const expired: Expired = {
      table: qualified(schema, table),
      title,
      column: quoted(column),
      type,
      query: steered.has(table) ? steeredBy(look) : query,
      isSteered: steered.has(table),
      taken: taken.get(table) ?? NOTHING_TAKEN,
      lockBackoff,
      unflushed,
      timeZone,
      cutoff: cutoffText(this.#cutoff, type, timeZone),
      mayLock: rows[0].may_lock,
      scan,
      spared: await sparing.tests(query, this.#spared, false),
      stretches: [],
      testsOf: (...asked) => sparing.tests(...asked),
    }
    return { expired, kind: await this.#kindOf(expired) }
  }
}

/** For a purge without an archive. */
export function expiredRows(options: SliceOptions, column: TimeColumn, cutoff: EpochMs, spared = NOTHING_SPARED): PostgresExpiredRows {
  return new PostgresExpiredRows(options, column, cutoff, spared, async () => PLAIN)
}

export class PostgresSlice implements Slice {
  readonly end: Place
  protected readonly expired: Expired
  /** Without what is spared. */
  protected readonly condition: sql.Condition
  /** The most rows it can have had when it was chosen. */
  protected readonly mostRows: number

  constructor(expired: Expired, condition: sql.Condition, mostRows: number, end: Place) {
    this.expired = expired
    this.condition = condition
    this.mostRows = mostRows
    this.end = end
  }

  name(): string {
    return `${this.expired.column} = '${String(this.condition.values[1])}'`
  }

  count(): Promise<number> {
    const condition = this.unspared()
    return countRows(this.expired.query, sql.countSql(this.expired, condition), condition)
  }

  async countByDay(): Promise<ReadonlyMap<EpochMs, number>> {
    const { query, type, timeZone } = this.expired
    const zoned = type === 'timestamptz' || timeZone === 'UTC'
    const condition = this.unspared()
    const statement = sql.countByTimeSql(this.expired, zoned, condition)
    const { rows } = await query.query<{ reading: number; rows: number }>(statement, condition.values)
    const days = new DayCounts(timeZone)
    for (const each of rows) {
      if (zoned) days.addInstant(each.reading, each.rows)
      else days.addReading(each.reading, each.rows)
    }
    return days.days
  }

  async remove(tx: Transaction, spared: SparedRows): Promise<Tally> {
    await this.steer(tx)
    const condition = await this.unsparedNow(tx, spared)
    return withCascaded(tx, this.expired.taken, async () => {
      const { affected, locked } = await removeRows(tx, this.expired, condition, this.mostRows)
      return { affected, locked }
    })
  }

  /** Its rows, without those that the walk leaves out. */
  protected unspared(): sql.Condition {
    return unspared(this.condition, this.expired.spared)
  }

  /** Its rows, without those that stay by now. */
  protected async unsparedNow(tx: Transaction, spared: SparedRows): Promise<sql.Condition> {
    return unspared(this.condition, await this.expired.testsOf(tx, spared, true))
  }

  protected async steer(tx: Transaction): Promise<void> {
    if (this.expired.isSteered) await tx.query(sql.STEERED)
  }
}

function steeredBy(look: Look): Query {
  return {
    query: (statement, values) =>
      look(async (tx) => {
        await tx.query(sql.STEERED)
        return tx.query(statement, values)
      }),
  }
}

const PLAIN: SliceKind<PostgresSlice> = {
  fits: undefined,
  slice: (...parts) => new PostgresSlice(...parts),
}

function endOf(slice: Slice): Place {
  if (slice instanceof PostgresSlice) return slice.end
  throw new TypeError('a slice of another engine')
}

async function census({ query, ...timed }: Expired): Promise<Census> {
  const undated = await countRows(query, sql.undatedSql(timed))
  const unreadable = await countRows(query, sql.minusInfinitySql(timed))
  return { undated, unreadable, shapes: unreadable > 0 ? ['-infinity'] : [] }
}

async function countRows(query: Query, text: string, condition?: sql.Condition): Promise<number> {
  const { rows } = await query.query<{ rows: number }>(text, condition?.values)
  return rows[0]?.rows ?? 0
}
