import type { Terms } from './purging.ts'

/** What a foreign key does to the rows that refer to a row which goes. `none`: they keep it from going. */
export type Action = 'none' | 'cascade' | 'set null' | 'set default'

export interface ForeignKey {
  /** The table that refers, by what the engine tells tables apart. */
  readonly child: string
  readonly childColumns: readonly string[]
  readonly parent: string
  readonly parentColumns: readonly string[]
  readonly onDelete: Action
  readonly onUpdate: Action
}

/** What a purge does to the rows of `key.child`. */
export interface Cascade<Key extends ForeignKey = ForeignKey> {
  readonly key: Key
  /** Whether a row goes, or only its reference changes. */
  readonly effect: 'deletes' | 'changes'
  readonly by: 'ON DELETE' | 'ON UPDATE'
}

export interface Reach<Key extends ForeignKey> {
  readonly cascades: readonly Cascade<Key>[]
  /** The keys whose child is searched for each row that goes, whatever they then do. */
  readonly searched: readonly Key[]
}

/** Rows of a table go; with `columns`, these change. */
interface Step {
  readonly table: string
  readonly columns?: readonly string[]
}

/** `sharing`: the tables of which a row of this one is a row too. */
export function reachOf<Key extends ForeignKey>(
  start: readonly string[],
  keys: readonly Key[],
  sharing: (table: string) => readonly string[] = (table) => [table],
): Reach<Key> {
  const cascades: Cascade<Key>[] = []
  const searched = new Set<Key>()
  const steps: Step[] = start.map((table) => ({ table }))
  // Grows while it is walked.
  for (const { table, columns } of steps) {
    const by = columns === undefined ? 'ON DELETE' : 'ON UPDATE'
    for (const key of keys) {
      if (key.parent !== table || (columns !== undefined && !key.parentColumns.some((name) => columns.includes(name)))) continue
      searched.add(key)
      const action = columns === undefined ? key.onDelete : key.onUpdate
      const effect = columns === undefined && action === 'cascade' ? 'deletes' : 'changes'
      if (action === 'none' || cascades.some((each) => each.key === key && each.effect === effect && each.by === by)) continue
      cascades.push({ key, effect, by })
      for (const each of sharing(key.child)) steps.push({ table: each, ...(effect === 'deletes' ? {} : { columns: key.childColumns }) })
    }
  }
  return { cascades, searched: [...searched] }
}

export interface Judged<Key extends ForeignKey> {
  /** Into a table of which a hold or a rule keeps rows: foreign keys ask neither. No setting allows it. */
  readonly keeping: readonly (Cascade<Key> & { readonly table: string })[]
  /** Into a table of the gateway's that the settings do not name. */
  readonly refused: readonly (Cascade<Key> & { readonly table: string })[]
  /** Into a table whose rows are archived: they would go, or change, without that. No setting allows it. */
  readonly unarchived: readonly (Cascade<Key> & { readonly table: string })[]
  /** Into any other table. */
  readonly told: readonly Cascade<Key>[]
}

/** `gatewayTable`: which of the gateway's tables a child is, or is a part of. */
export function judgedBy<Key extends ForeignKey>(
  { cascade, archived, keeping }: Terms,
  own: string,
  cascades: readonly Cascade<Key>[],
  gatewayTable: (child: string) => string | undefined,
): Judged<Key> {
  const placed = cascades.map((each) => ({ ...each, table: gatewayTable(each.key.child) }))
  const gateways = placed.flatMap((each) => (each.table === undefined ? [] : [{ ...each, table: each.table }]))
  // A row that is written to the archive and changed before it is deleted is archived again, without end.
  const loses = ({ table, effect }: (typeof gateways)[number]): boolean =>
    archived.includes(table) && (effect === 'deletes' || table === own)
  const others = gateways.filter(({ table }) => !keeping.includes(table))
  return {
    keeping: gateways.filter(({ table }) => keeping.includes(table)),
    unarchived: others.filter(loses),
    refused: others.filter((each) => !loses(each) && !cascade.includes(each.table)),
    told: placed.filter(({ table }) => table === undefined),
  }
}

/** `ON DELETE CASCADE` */
export function clauseOf({ key, by }: Cascade): string {
  return `${by} ${(by === 'ON DELETE' ? key.onDelete : key.onUpdate).toUpperCase()}`
}

/** What to set so that a cascade into this table is allowed. */
export function allowance({ setting, cascade }: Terms, table: string): string {
  return `${setting}=${[...cascade, table].join(',')}`
}
