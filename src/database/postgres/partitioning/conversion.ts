import { MINUTE, SECOND, type EpochMs } from '../../../time/clock.ts'
import { messageOf } from '../../../errors.ts'
import { DatabaseError } from '../../database-error.ts'
import { PARTITIONED, type ConversionOptions, type PartitionTerms } from '../../partitioning.ts'
import { EQ, GE } from '../exact.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { mustBeTrusted } from '../owners.ts'
import { briefly, PATIENCE_MS } from './brief-locks.ts'
import { boundName, keyName } from './conversion-names.ts'
import type { ConvertingOptions, Work } from './conversion-work.ts'
import { newKeyOf, nextStep, readConversion, type ConversionState } from './conversion-state.ts'
import { planConversion } from './conversion-plan.ts'
import { functionsFound } from './functions.ts'
import { makeFunctions, prepare } from './preparing.ts'
import { MOST_SET_ASIDE } from './plan-refusals.ts'
import { firstDays } from './days.ts'
import { countBehind, discard, isBefore, setAside, tooMany } from './setting-aside.ts'
import { directViews, swap } from './swapping.ts'
import type { BoundTime, Tree } from './tree.ts'

/** A conversion that is begun anew so often meets something that changes all the time, or a fault of ours. */
const MOST_BEGINNINGS = 3
/** How long the table may go on refusing rows after a failure that would leave it so. */
const TAKING_BACK_MS = 2 * MINUTE
const TAKING_BACK_WHEN_STOPPED_MS = 5 * SECOND

/**
 * Goes on from wherever an earlier call was killed: after each step the catalogue is asked anew what the next one is. Nothing but the last step is seen by the
 * gateway, and until then its table is the plain one.
 */
export async function startConversion(
  options: ConvertingOptions,
  terms: PartitionTerms,
  { lock, listener, signal }: ConversionOptions,
): Promise<void> {
  const startedMs = options.clock.monotonicMs()
  const now = (): EpochMs => terms.now + options.clock.monotonicMs() - startedMs
  await options.withMigrationLock(lock, async (apply, outside) => {
    const work: Work = { options, apply, outside, listener, signal, now }
    await mustHaveRecord(options)
    const found = await mustRead(options)
    if (nextStep(found, options, now()) !== 'finish') {
      mustNotBeUndoing(found)
      const plan = await planConversion(options, terms)
      if (plan.kind === 'refused') throw new DatabaseError('refused', plan.reasons)
    }
    try {
      await convert(work, terms)
    } catch (error) {
      throw await afterFailure(work, error)
    }
  })
}

async function convert(work: Work, terms: PartitionTerms): Promise<void> {
  const { options, signal } = work
  let beginnings = 0
  let isNew = false
  for (;;) {
    const state = await mustRead(options)
    const step = nextStep(state, options, work.now())
    if (step === 'finish') return await finish(work, state.tree, isNew)
    if (signal.aborted) throw new DatabaseError('busy', `Interrupted. ${options.schema}.${options.column.table} is still a plain table.`)
    if (step === 'prepare' && (beginnings += 1) > MOST_BEGINNINGS)
      throw new DatabaseError(
        'failed',
        `${options.schema}.${options.column.table} was not turned into partitions: its structure changes all the time.`,
      )
    await STEPS[step](work, state, terms)
    isNew ||= step === 'swap'
  }
}

type Steps = Readonly<
  Record<Exclude<ReturnType<typeof nextStep>, 'finish'>, (work: Work, state: ConversionState, terms: PartitionTerms) => Promise<void>>
>

const STEPS: Steps = {
  prepare: (work, state, terms) =>
    told(work, `prepares the partitioned table with ${firstDays(0, terms.aheadMs).length} days`, () => prepare(work, state, terms)),
  unindex: (work, { table }) =>
    told(work, `drops the index ${keyName(table.name)}, whose building was interrupted`, () =>
      work.outside(blocked(work), (session) => session.dropIndex(keyName(table.name))),
    ),
  index: (work, { table }) => {
    const columns = newKeyOf(table, work.options.column.column) ?? []
    return told(work, `builds the index ${keyName(table.name)} on (${columns.join(', ')})`, () =>
      work.outside(blocked(work), (session) =>
        session.run(
          `CREATE UNIQUE INDEX CONCURRENTLY ${quoted(keyName(table.name))} ON ${table.quoted} (${columns.map(quoted).join(', ')})`,
          table.name,
        ),
      ),
    )
  },
  bind: (work, state) => told(work, `refuses rows from ${boundOf(state).text} on, until the table is converted`, () => bind(work, state)),
  validate: (work, state) =>
    told(work, 'sets aside the rows behind the bound, and checks that all others lie before it', () => validate(work, state)),
  swap: (work, { table }) => told(work, 'puts the partitioned table in the place of the plain one', () => swap(work, directViews(table))),
  unbind: (work) => told(work, 'takes the bound back', () => unbind(work)),
}

/** Rejects if rows would have to be set aside that are too many. */
async function bind(work: Work, state: ConversionState): Promise<{ readonly lockedMs: number }> {
  const { table, type } = state
  const bound = boundOf(state)
  const { column } = work.options.column
  const many = await work.options.scan((tx) => countBehind(tx, table, column, bound, type))
  if (many > MOST_SET_ASIDE) throw tooMany(table, bound)
  return await briefly(work, {}, async (tx, lock) => {
    await lock()
    // The rows that are there are looked at later, without this lock.
    await tx.query(
      `ALTER TABLE ${table.quoted} ADD CONSTRAINT ${quoted(boundName(table.name))} CHECK ${isBefore(column, bound, type)} NOT VALID`,
    )
  })
}

async function validate(work: Work, state: ConversionState): Promise<void> {
  const { table, prepared, type } = state
  if (prepared === undefined) throw new Error('nothing is prepared')
  await work.apply((tx) => setAside(tx, { table, prepared }, work.options.column.column, boundOf(state), type))
  await work.outside(blocked(work), (session) =>
    session.run(`ALTER TABLE ${table.quoted} VALIDATE CONSTRAINT ${quoted(boundName(table.name))}`, table.name),
  )
}

async function unbind(work: Work, patienceMs = PATIENCE_MS): Promise<{ readonly lockedMs: number }> {
  const { schema, column } = work.options
  return await briefly(work, { patienceMs }, async (tx, lock) => {
    await lock()
    await tx.query(`ALTER TABLE ${qualified(schema, column.table)} DROP CONSTRAINT IF EXISTS ${quoted(boundName(column.table))}`)
  })
}

/** What an earlier start was killed before, and the functions where they are those of another version, are missing, or were changed. */
async function finish(work: Work, { owner, isOwner }: Tree, isNew: boolean): Promise<void> {
  const { schema, column, query } = work.options
  const place = { schema, table: column.table, column: column.column }
  if (isOwner && ['absent', 'other'].includes(await functionsFound(query, place, owner)))
    await told(work, 'makes anew the functions by which other roles make and drop partitions', () =>
      work.apply((tx) => makeFunctions(tx, place, owner)),
    )
  await analyze(work, isNew)
}

/** The server never does this by itself for a partitioned table. */
async function analyze(work: Work, isNew: boolean): Promise<void> {
  const { schema, column, query } = work.options
  const table = qualified(schema, column.table)
  const { rows } = await query.query<{ analyzed: boolean }>(
    `SELECT c.reltuples ${GE} '0'::pg_catalog.float4 AS analyzed FROM pg_catalog.pg_class AS c
     WHERE c.oid ${EQ} pg_catalog.to_regclass(${literal(table)}::pg_catalog.text)::pg_catalog.oid`,
  )
  if (rows[0]?.analyzed === true && !isNew) return
  await told(work, 'analyzes the table', () => work.outside(blocked(work), (session) => session.run(`ANALYZE ${table}`, column.table)))
}

/** Rows must not be refused, nor be out of sight, for longer than somebody works at it. */
async function afterFailure(work: Work, error: unknown): Promise<unknown> {
  if (error instanceof DatabaseError && (error.kind === 'lost' || error.kind === 'unreachable')) return error
  const kind = error instanceof DatabaseError ? error.kind : 'failed'
  try {
    const state = await mustRead(work.options)
    if (!state.table.checks.some(({ name }) => name === boundName(state.table.name))) return error
    const again = { ...work, signal: new AbortController().signal }
    await told(again, 'takes the bound back', () => unbind(again, work.signal.aborted ? TAKING_BACK_WHEN_STOPPED_MS : TAKING_BACK_MS))
    const { table, prepared } = await mustRead(work.options)
    if (prepared !== undefined) await work.apply((tx) => discard(tx, table, prepared))
    return new DatabaseError(kind, `${messageOf(error)} Nothing is refused any more, and all rows are back in their table.`, {
      cause: error,
    })
  } catch (second) {
    return new DatabaseError(
      kind,
      `${messageOf(error)} The table still refuses rows without a time and those from its bound on, and does not show those that were set aside: ${messageOf(second)} ` +
        'Go on as soon as nobody is in the way. Run: mcp-gateway-maintenance partition start',
      { cause: error },
    )
  }
}

function boundOf({ tree: { record } }: ConversionState): BoundTime {
  if (record === undefined) throw new Error('nothing is recorded')
  return record.bound
}

async function mustRead(options: ConvertingOptions): Promise<ConversionState> {
  const state = await readConversion(options)
  if (state !== undefined) return state
  const { schema, column } = options
  throw new DatabaseError(
    'refused',
    `${schema}.${column.table} has no column ${column.column} of type timestamp or timestamptz. Nothing was changed.`,
  )
}

async function mustHaveRecord({ query, schema, column }: ConvertingOptions): Promise<void> {
  if ((await mustBeTrusted(query, schema, [PARTITIONED])).has(PARTITIONED)) return
  throw new DatabaseError(
    'refused',
    `${schema}.${PARTITIONED} does not exist yet, so it could not be recorded what is done. ${schema}.${column.table} was left as it is. Run: mcp-gateway-maintenance migrate`,
  )
}

function mustNotBeUndoing({ tree, table }: ConversionState): void {
  if (tree.record?.undoingSince === undefined) return
  throw new DatabaseError('refused', [
    `partition undo has begun on ${table.schema}.${table.name} and has not ended. Nothing was changed. Run: mcp-gateway-maintenance partition undo`,
  ])
}

function blocked({ listener }: Work): (by: string, waitedMs: number) => void {
  return (by, waitedMs) => listener.blocked(by, waitedMs)
}

async function told(work: Work, sentence: string, step: () => Promise<{ readonly lockedMs: number } | undefined | void>): Promise<void> {
  const { clock } = work.options
  work.listener.step(sentence)
  const beganMs = clock.monotonicMs()
  const done = await step()
  work.listener.done(clock.monotonicMs() - beganMs, done?.lockedMs)
}
