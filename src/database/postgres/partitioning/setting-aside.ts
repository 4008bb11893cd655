import { DatabaseError } from '../../database-error.ts'
import type { Query } from '../../query.ts'
import { GE, LT } from '../exact.ts'
import { literal, quoted } from '../identifiers.ts'
import type { TimeType } from '../times.ts'
import type { Dependents, TriggerFacts } from './dependents.ts'
import { MOST_SET_ASIDE } from './plan-refusals.ts'
import { unpublished } from './publications.ts'
import type { BoundTime } from './tree.ts'

/** Which rows cannot be in the first partition: those without a time, and those from the bound on. */
function behind(column: string, bound: BoundTime, type: TimeType): string {
  return `(${quoted(column)} IS NULL OR ${quoted(column)} ${GE} ${literal(bound.text)}::pg_catalog.${type})`
}

/** All others. The server has to see that it implies what the partition is for, so it says the same in the same words. */
export function isBefore(column: string, bound: BoundTime, type: TimeType): string {
  return `(${quoted(column)} IS NOT NULL AND ${quoted(column)} ${LT} ${literal(bound.text)}::pg_catalog.${type})`
}

/** Counts up to one more than may be. */
export async function countBehind(tx: Query, table: Dependents, column: string, bound: BoundTime, type: TimeType): Promise<number> {
  const { rows } = await tx.query<{ n: number }>(
    `SELECT pg_catalog.count(*)::pg_catalog.int4 AS n FROM (SELECT FROM ${table.quoted} WHERE ${behind(column, bound, type)} LIMIT ${MOST_SET_ASIDE + 1}) AS f`,
  )
  return rows[0]?.n ?? 0
}

/** The constraint is on the table already, so there will be no more of them. Returns how many they were. */
export async function setAside(
  tx: Query,
  { table, prepared }: { readonly table: Dependents; readonly prepared: Dependents },
  column: string,
  bound: BoundTime,
  type: TimeType,
): Promise<number> {
  // The rows are not new: the triggers of an insert have had them.
  const turned = (how: (trigger: TriggerFacts) => string): string =>
    prepared.triggers
      .filter(({ enabled }) => enabled !== 'D')
      .map((trigger) => `ALTER TABLE ${prepared.quoted} ${how(trigger)} TRIGGER ${quoted(trigger.name)};`)
      .join(' ')
  await tx.query(turned(() => 'DISABLE'))
  const columns = columnsOf(table)
  const { changed } = await unpublished(tx, table.schema, table.name, () =>
    tx.query(
      `WITH aside AS (DELETE FROM ${table.quoted} WHERE ${behind(column, bound, type)} RETURNING ${columns})
       INSERT INTO ${prepared.quoted} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM aside`,
    ),
  )
  await tx.query(turned(({ enabled }) => ENABLED[enabled] ?? 'ENABLE'))
  if (changed > MOST_SET_ASIDE) throw tooMany(table, bound)
  return changed
}

const ENABLED: Readonly<Record<string, string>> = { R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' }

export function tooMany({ schema, name }: Dependents, bound: BoundTime): DatabaseError {
  return new DatabaseError(
    'refused',
    `${schema}.${name} has more than ${MOST_SET_ASIDE} rows without a time or with one from ${bound.text} on, and nobody would see them until it has been turned into partitions. ` +
      `It was not. Give them their times, and start again.`,
  )
}

/**
 * Puts the rows of the prepared table back, and drops it. The constraint has to be gone. Returns how many they were. The table may have other columns by now:
 * rejects if a value would have none to go to.
 */
export async function discard(tx: Query, table: Dependents, prepared: Dependents): Promise<number> {
  const own = new Set(table.columns.map(({ name }) => name))
  const homeless = prepared.columns.filter(({ name }) => !own.has(name)).map(({ name }) => name)
  if (homeless.length > 0 && (await tx.query(`SELECT FROM ${prepared.quoted} LIMIT 1`)).rows.length > 0) {
    throw new DatabaseError(
      'refused',
      `Some rows of ${table.schema}.${table.name} have been set aside in ${prepared.schema}.${prepared.name} by an earlier start, and its ${homeless.join(', ')} ` +
        `has been dropped or renamed since. They were left there. Move them back by hand, then start again.`,
    )
  }
  const written = new Set(prepared.columns.map(({ name }) => name))
  const columns = columnsOf({ ...table, columns: table.columns.filter(({ name }) => written.has(name)) })
  const { changed } = await unpublished(tx, table.schema, table.name, () =>
    tx.query(`INSERT INTO ${table.quoted} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${prepared.quoted}`),
  )
  await tx.query(`DROP TABLE ${prepared.quoted}`)
  return changed
}

/** Without those that are generated. */
function columnsOf({ columns }: Dependents): string {
  return columns
    .filter(({ generated }) => generated === '')
    .map(({ name }) => quoted(name))
    .join(', ')
}
