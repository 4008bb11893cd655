import { DAY, HOUR, type EpochMs } from '../../../time/clock.ts'
import type { Query } from '../../query.ts'
import { literal, qualified, quoted } from '../identifiers.ts'
import { addingBlock, markOf, removingBlock, type Place } from './function-text.ts'
import { ADD_FUNCTION, functionsFound, grantStatement, REMOVE_FUNCTION } from './functions.ts'
import { managerOf } from './others.ts'
import { boundOf, type Bound, type BoundTime, type Edge, type PartitioningOptions, type Tree } from './tree.ts'

/**
 * What changes which partitions a table has. Each call takes locks, the table's first, that are held until the transaction ends, and waits for them no longer
 * than the transaction's lock timeout: it rejects with `busy` then. What it is asked to change is looked up again in the same transaction.
 */
export interface Hands {
  /** Makes an empty partition with the owner and the rights of its table. Rejects with 42P07, 42710, 23505 or 42P17 if another worker does so, with 23514 if DEFAULT has rows of that range. */
  make(tx: Query, range: NewRange): Promise<void>
  /** Takes a partition out, and marks it: see `markOf`. Refuses one that is live, or is not plain, or has another owner than its table. */
  detach(tx: Query, name: string): Promise<void>
  /** Makes a table that `detach` has taken out a partition again, with the bounds of its mark. Rejects with 23514 if DEFAULT has rows of that range. */
  attach(tx: Query, name: string): Promise<void>
  /** Drops a table that `detach` has taken out, whatever rows it has: look at them before, in the same transaction. */
  drop(tx: Query, name: string): Promise<void>
  /** Keeps rows of the range out of DEFAULT, without looking at those it has. */
  guard(tx: Query, range: NewRange): Promise<void>
  /** Looks at the rows that DEFAULT has, while others read and write them: then `make` need not. */
  prove(tx: Query): Promise<void>
  unguard(tx: Query): Promise<void>
}

export interface NewRange {
  readonly name: string
  readonly from: BoundTime
  readonly to: BoundTime
}

export type Reach =
  | { readonly hands: Hands; readonly problem: undefined }
  /** This role may change nothing here; a sentence with what to run. */
  | { readonly hands: undefined; readonly problem: string }

/** The owner's role sends what is to be done; another one calls the functions that `partition start` has made. Reads the catalogue only. */
export async function handsOn({ query, schema, column }: PartitioningOptions, tree: Tree): Promise<Reach> {
  const place = { schema, ...column }
  const manager = await managerOf(query, schema, column.table, tree)
  if (manager !== undefined)
    return {
      hands: undefined,
      problem:
        `Partitions of ${schema}.${column.table} are neither made nor dropped, because ${manager} has settings for the table too, and what one makes the other could drop with rows that must stay. ` +
        `Remove the table from ${manager}, or turn it back into a plain one. Run: mcp-gateway-maintenance partition undo`,
    }
  if (tree.isOwner) return { hands: handsBy(ownersWay(place)), problem: undefined }
  const title = `${schema}.${column.table}`
  const found = await functionsFound(query, place, tree.owner)
  if (found === 'usable') return { hands: handsBy(functionsWay(schema)), problem: undefined }
  const role = (await query.query<{ role: string }>('SELECT current_user::pg_catalog.text AS role')).rows[0]!.role
  const without = `Partitions of ${title} are neither made nor dropped by the role ${role}, so its rows are deleted in batches, and rows of days without a partition go to DEFAULT`
  const of = `${schema}.${ADD_FUNCTION} and ${schema}.${REMOVE_FUNCTION}`
  switch (found) {
    case 'forbidden':
      return { hands: undefined, problem: `${without}: it may not call ${of}. Run: ${grantStatement(schema, role)}` }
    case 'absent':
      return {
        hands: undefined,
        problem: `${without}: it is not the owner of the table, and ${of} are missing. As ${tree.owner}, the owner, run: mcp-gateway-maintenance partition start`,
      }
    case 'other':
      return {
        hands: undefined,
        problem:
          `${without}: ${of} are not those of this version of the worker, or do not belong to ${tree.owner}, the owner of the table, and were not called. ` +
          `Have ${tree.owner} make them anew. Run: mcp-gateway-maintenance partition start`,
      }
  }
}

/** Whether rows may still be written to a partition that ends there: it has not been over for a day on the clocks of every zone. `detach` and `drop` refuse it. */
export function isLive(to: BoundTime, now: EpochMs): boolean {
  return to.reading > now - DAY
}

/** Whether nobody can be writing rows of that time yet, wherever the clock is and though it may be a day fast. Otherwise `guard` refuses. */
export function isWellAhead(from: BoundTime, now: EpochMs): boolean {
  return from.reading >= now + DAY + 14 * HOUR
}

/** The bounds that a table had before it was taken out; `undefined`: `comment` is not our mark for this table. */
export function markedBound(
  comment: string | null,
  schema: string,
  table: string,
): { readonly from: Edge; readonly to: BoundTime } | undefined {
  const mark = markOf({ schema, table })
  const bound: Bound = comment?.startsWith(mark) === true ? boundOf(comment.slice(mark.length)) : { kind: 'other' }
  return bound.kind === 'range' && bound.to !== undefined ? { from: bound.from, to: bound.to } : undefined
}

type Step = 'make' | 'attach' | 'guard' | 'prove' | 'unguard' | 'detach' | 'drop'

interface Way {
  add(tx: Query, step: Step, relation: string, range?: NewRange): Promise<unknown>
  remove(tx: Query, step: Step, relation: string): Promise<unknown>
}

function handsBy(way: Way): Hands {
  return {
    make: async (tx, range) => void (await way.add(tx, 'make', range.name, range)),
    attach: async (tx, name) => void (await way.add(tx, 'attach', name)),
    guard: async (tx, range) => void (await way.add(tx, 'guard', range.name, range)),
    prove: async (tx) => void (await way.add(tx, 'prove', '')),
    unguard: async (tx) => void (await way.add(tx, 'unguard', '')),
    detach: async (tx, name) => void (await way.remove(tx, 'detach', name)),
    drop: async (tx, name) => void (await way.remove(tx, 'drop', name)),
  }
}

function ownersWay(place: Place): Way {
  return {
    add: (tx, step, relation, range) =>
      tx.query(
        block(
          addingBlock(
            declared({ wanted: step, relation, lower_bound: range?.from.text ?? null, upper_bound: range?.to.text ?? null }),
            place,
          ),
        ),
      ),
    remove: (tx, step, relation) => tx.query(block(removingBlock(declared({ wanted: step, relation }), place))),
  }
}

function functionsWay(schema: string): Way {
  const text = 'pg_catalog.text'
  return {
    add: (tx, step, relation, range) =>
      tx.query(`SELECT ${qualified(schema, ADD_FUNCTION)}($1::${text}, $2::${text}, $3::${text}, $4::${text})`, [
        step,
        relation,
        range?.from.text ?? null,
        range?.to.text ?? null,
      ]),
    remove: (tx, step, relation) => tx.query(`SELECT ${qualified(schema, REMOVE_FUNCTION)}($1::${text}, $2::${text})`, [step, relation]),
  }
}

/** A block has no parameters, so its values are constants in it. */
function declared(values: Readonly<Record<string, string | null>>): string {
  return Object.entries(values)
    .map(([name, value]) => `  ${quoted(name)} CONSTANT pg_catalog.text := ${value === null ? 'NULL' : literal(value)};\n`)
    .join('')
}

function block(body: string): string {
  return `DO LANGUAGE plpgsql ${literal(body)}`
}
