import { plural } from '../../../number-text.ts'
import { SECOND, type EpochMs } from '../../../time/clock.ts'
import { wallClockCeiling } from '../../../time/zones.ts'
import type { Ahead, MakingStep, MissingPartition, PartitionTerms } from '../../partitioning.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Transaction } from '../../query.ts'
import { stateOf } from '../postgres-errors.ts'
import type { TimeType } from '../times.ts'
import { partitionName } from './days.ts'
import { defaultOf, occupiedAmong, unplacedRows, type DefaultPartition } from './default-partition.ts'
import { daysText, gapsBetween, nextMidnight, type Stretch } from './gaps.ts'
import { handsOn, isWellAhead, type Hands, type NewRange } from './hands.ts'
import { limitsOf } from './limits.ts'
import { heldForLong, heldUp, inTheWay } from './removing.ts'
import { isOurs, readingAt, readTree, type PartitioningOptions, type Tree } from './tree.ts'

/** See `Partitions.ahead`. */
export async function missingAhead(options: PartitioningOptions, until: EpochMs, terms: PartitionTerms): Promise<Ahead> {
  const tree = await readTree(options)
  if (tree?.type === undefined || !isOurs(tree)) return { kind: 'not-ours' }
  const gaps = gapsOf(options, tree, tree.type, terms.now, until)
  const rest = await defaultOf(options, tree)
  if (gaps.length === 0 && rest?.isGuarded !== true) return { kind: 'missing', partitions: [], skipped: [], leftover: undefined }
  const { hands, problem } = await handsOn(options, tree)
  if (hands === undefined) return { kind: 'refused', reasons: [problem] }

  const leftover = rest?.isGuarded === true ? stepOf(SHORT_MS, [rest.part.id], (tx) => hands.unguard(tx)) : undefined
  const occupied = await occupiedAmong(options, gaps)
  const crowded = rest !== undefined && (await isCrowded(options, rest))
  const { ways, late } = plannedWays(
    gaps.filter((gap) => !occupied.has(gap)),
    crowded ? rest : undefined,
    terms.now,
  )
  if (ways.length > 0) {
    const count = tree.parts.filter(({ bound }) => bound.kind !== 'default').length + ways.length
    const reasons = await limitsOf(options, terms, count)
    if (reasons.length > 0) return { kind: 'refused', reasons }
  }
  return {
    kind: 'missing',
    partitions: ways.map(({ gap, way }) => missing({ ...gap, name: partitionName(options.column.table, gap.from) }, way, hands, rest)),
    skipped: skipped(options, [...occupied], late),
    leftover,
  }
}

/** Above that, a new partition is not compared with every row of DEFAULT while nobody can use DEFAULT. Measured: 10,000 rows are compared in some milliseconds. */
const MANY_ROWS = 10_000
/** Measured: 195 MB are compared in 134 ms. */
const MOST_COMPARED_BYTES = 128 * 1_024 * 1_024
const SHORT_MS = 5 * SECOND
/** Read at that rate at least, from a slow disk. */
const BYTES_PER_SECOND = 10 * 1_024 * 1_024

export type Way =
  /** With DEFAULT compared under its lock, which it is small enough for. */
  | 'at once'
  /** With DEFAULT compared before, while others use it. */
  | 'guarded'

/**
 * How each partition is made. Beside a DEFAULT with many rows, those of days that nobody writes yet are guarded; a nearer one is made only if comparing is quick, and
 * else its rows go to DEFAULT, since a guard would refuse them.
 */
export function plannedWays(
  gaps: readonly Stretch[],
  crowded: Pick<DefaultPartition, 'bytes'> | undefined,
  now: EpochMs,
): { readonly ways: readonly { readonly gap: Stretch; readonly way: Way }[]; readonly late: readonly Stretch[] } {
  const wayOf = (gap: Stretch): Way | undefined => {
    if (crowded === undefined) return 'at once'
    if (isWellAhead(gap.from, now)) return 'guarded'
    return crowded.bytes <= MOST_COMPARED_BYTES ? 'at once' : undefined
  }
  const ways = gaps.flatMap((gap) => {
    const way = wayOf(gap)
    return way === undefined ? [] : [{ gap, way }]
  })
  return { ways, late: gaps.filter((gap) => wayOf(gap) === undefined) }
}

/** From the beginning of today to the end of the day of `until`. */
export function gapsOf(
  { timeZone }: PartitioningOptions,
  { parts }: Pick<Tree, 'parts'>,
  type: TimeType,
  now: EpochMs,
  until: EpochMs,
): readonly Stretch[] {
  const end = type === 'timestamptz' ? until : wallClockCeiling(until, timeZone)
  return gapsBetween(parts, readingAt(now, type, timeZone), nextMidnight(end), type)
}

/** A role that may not read DEFAULT counts its rows as many: then nobody waits for it. */
async function isCrowded(options: PartitioningOptions, { part }: DefaultPartition): Promise<boolean> {
  const unplaced = await unplacedRows(options, part, MANY_ROWS)
  return unplaced?.more !== false
}

function missing(range: NewRange, way: Way, hands: Hands, rest: DefaultPartition | undefined): MissingPartition {
  const { name } = range
  const locked = rest === undefined ? [] : [rest.part.id]
  if (way === 'at once') return { name, steps: [stepOf(SHORT_MS, locked, (tx) => hands.make(tx, range))] }
  const comparingMs = SHORT_MS + ((rest?.bytes ?? 0) / BYTES_PER_SECOND) * SECOND
  return {
    name,
    steps: [
      stepOf(SHORT_MS, locked, (tx) => hands.guard(tx, range)),
      stepOf(comparingMs, [], (tx) => hands.prove(tx)),
      stepOf(SHORT_MS, locked, async (tx) => {
        await hands.make(tx, range)
        await hands.unguard(tx)
      }),
    ],
  }
}

/** `locked`: the relations that nobody else can use while it works, so that it does not even queue for them behind an old transaction. */
function stepOf(takesMs: number, locked: readonly string[], work: (tx: Transaction) => Promise<void>): MakingStep {
  return {
    takesMs,
    async run(tx) {
      const by = locked.length === 0 ? undefined : await heldForLong(tx, locked)
      if (by !== undefined) throw new DatabaseError('busy', heldUp(by))
      await tx.query('SAVEPOINT making')
      try {
        await work(tx)
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error
        const isThere = MADE_ELSEWHERE.has(stateOf(error) ?? '')
        if (!isThere && error.kind !== 'busy') throw error
        await tx.query('ROLLBACK TO SAVEPOINT making')
        if (isThere) return 'there'
        throw new DatabaseError('busy', await inTheWay(tx, error, locked), { cause: error })
      }
      return 'made'
    },
  }
}

const MADE_ELSEWHERE: ReadonlySet<string> = new Set([
  '42P07', // duplicate_table
  '23505', // unique_violation, of the catalogue: two at the same moment
  '42710', // duplicate_object: its row type, a moment later
  '42P17', // invalid_object_definition: it would overlap another partition
  '23514', // check_violation: DEFAULT has got rows of that day since
])

/** What DEFAULT takes instead of a partition, each a clause. */
function skipped(
  { schema, column: { table } }: PartitioningOptions,
  occupied: readonly Stretch[],
  late: readonly Stretch[],
): readonly string[] {
  const title = `${schema}.${table}`
  const clauses: string[] = []
  if (occupied.length > 0)
    clauses.push(
      `DEFAULT has rows of ${daysText(occupied)} already, so ${plural(occupied.length, 'that day has', 'those days have')} no partition of ${title}: rows of ${plural(occupied.length, 'it', 'them')} ` +
        'go to DEFAULT and are deleted in batches',
    )
  if (late.length > 0)
    clauses.push(
      `DEFAULT of ${title} is too large to be compared with ${plural(late.length, 'a partition', 'partitions')} for ${daysText(late)}, which ${plural(late.length, 'is', 'are')} too near, ` +
        `without keeping others waiting: rows of ${plural(late.length, 'it', 'them')} go to DEFAULT and are deleted in batches`,
    )
  return clauses
}
