import { plural } from '../../../number-text.ts'
import { EQ } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import type { DefaultPartition } from './default-partition.ts'
import { GUARD } from './function-text.ts'
import { daysText, type Stretch } from './gaps.ts'
import { handsOn } from './hands.ts'
import { leftAlone, takenOut, unreadableRecord } from './taken-out.ts'
import type { Part, PartitioningOptions, Tree } from './tree.ts'

export interface Found {
  /** `undefined`: there is no DEFAULT partition. */
  readonly rest: DefaultPartition | undefined
  /** Whether this role may read it. */
  readonly mayCount: boolean
  readonly occupied: readonly Stretch[]
  readonly open: readonly Stretch[]
}

/** Why partitions of a converted table cannot be made or dropped, or rows are refused, and what else is not as usual: see `Converted`. */
export async function problemsOf(
  options: PartitioningOptions,
  tree: Tree,
  found: Found,
): Promise<{ readonly problems: readonly string[]; readonly notes: readonly string[] }> {
  const { problem } = await handsOn(options, tree)
  return {
    problems: [
      ...(problem === undefined ? [] : [problem]),
      ...(await missingRights(options, tree, found)),
      ...defaultProblems(options, found),
      ...tree.parts.flatMap((part) => partProblems(options, tree, part)),
      ...(await recordProblems(options, tree)),
    ],
    notes: [...tree.parts.flatMap((part) => partNotes(part)), ...dayNotes(options, found)],
  }
}

async function recordProblems(options: PartitioningOptions, tree: Tree): Promise<readonly string[]> {
  const { detached, unreadable } = tree
  const found = detached.length === 0 ? [] : await options.look((tx) => takenOut(tx, options, tree, detached))
  return [
    ...detached.flatMap((record, at) => {
      const state = found[at]
      return state?.kind === 'other' ? [`${leftAlone(options, record, state.reason)}.`] : []
    }),
    ...unreadable.map((shown) => `${unreadableRecord(options, shown)}.`),
  ]
}

async function missingRights({ query, schema }: PartitioningOptions, tree: Tree, { rest, mayCount }: Found): Promise<readonly string[]> {
  const { rows } = await query.query<{ role: string; mayCreate: boolean }>(RIGHTS, [schema, tree.owner])
  const { role = '', mayCreate = true } = rows[0] ?? {}
  return [
    ...(mayCreate
      ? []
      : [
          `${tree.owner}, the owner of the table, may not create tables in schema ${schema}, so no partitions are made. Run: GRANT CREATE ON SCHEMA ${quoted(schema)} TO ${quoted(tree.owner)}`,
        ]),
    ...(mayCount || rest === undefined
      ? []
      : [
          `The role ${role} may not read ${rest.part.name}, so its rows were not counted. Run: GRANT SELECT ON ${qualified(rest.part.schema, rest.part.name)} TO ${quoted(role)}`,
        ]),
  ]
}

const RIGHTS = `SELECT current_user::pg_catalog.text AS role,
  pg_catalog.has_schema_privilege(o.oid, n.oid, 'CREATE'::pg_catalog.text) AS "mayCreate"
FROM pg_catalog.pg_namespace AS n CROSS JOIN pg_catalog.pg_roles AS o
WHERE n.nspname ${EQ} $1::pg_catalog.name AND o.rolname ${EQ} $2::pg_catalog.name`

function defaultProblems({ schema, column: { table } }: PartitioningOptions, { rest }: Found): readonly string[] {
  if (rest === undefined)
    return [
      `${schema}.${table} has no DEFAULT partition, so rows of days without a partition are refused. ` +
        `Run: CREATE TABLE ${qualified(schema, `${table}_default`)} PARTITION OF ${qualified(schema, table)} DEFAULT`,
    ]
  if (!rest.isGuarded) return []
  const place = qualified(rest.part.schema, rest.part.name)
  return [
    `${rest.part.name} has the constraint ${GUARD}, as while a partition is made: rows of that day are refused. If it stays, making was interrupted, and the next one takes it back. ` +
      `If none follows, run: ALTER TABLE ${place} DROP CONSTRAINT ${GUARD}`,
  ]
}

const BATCHES = 'so it is not dropped as a whole, and its rows are deleted in batches'
const KINDS: Readonly<Record<string, string>> = { p: 'partitioned itself', f: 'a foreign table' }

function partProblems({ schema, column: { table } }: PartitioningOptions, tree: Tree, part: Part): readonly string[] {
  const place = qualified(part.schema, part.name)
  return [
    ...(part.isPending
      ? [
          `Somebody's DETACH PARTITION CONCURRENTLY of ${part.name} was interrupted: rows of its range are refused, and no partition can be taken out or made there. ` +
            `Run: ALTER TABLE ${qualified(schema, table)} DETACH PARTITION ${place} FINALIZE`,
        ]
      : []),
    ...(part.owner === tree.owner
      ? []
      : [
          `${part.name} belongs to the role ${part.owner}, and ${schema}.${table} to ${tree.owner}, ${BATCHES}. Run: ALTER TABLE ${place} OWNER TO ${quoted(tree.owner)}`,
        ]),
    ...(part.schema === schema
      ? []
      : [`${part.name} is in schema ${part.schema}, ${BATCHES}. Run: ALTER TABLE ${place} SET SCHEMA ${quoted(schema)}`]),
  ]
}

function partNotes({ name, kind }: Part): readonly string[] {
  return kind === 'r'
    ? []
    : [`${name} is ${KINDS[kind] ?? 'no plain table'}, ${BATCHES}. Make it a plain partition, or leave it to the batches.`]
}

/** Of days: that soon there is none for a day to come is told by how far they reach. */
function dayNotes({ schema, column: { table } }: PartitioningOptions, { occupied, open }: Found): readonly string[] {
  return [
    ...(open.length === 0
      ? []
      : [`No partition of ${schema}.${table} takes rows of ${daysText(open)}, so they go to DEFAULT until one is made.`]),
    ...(occupied.length === 0
      ? []
      : [
          `DEFAULT has rows of ${daysText(occupied)}, so ${plural(occupied.length, 'that day has', 'those days have')} no partition of ${schema}.${table}: rows go to DEFAULT, and are deleted in batches once they have expired.`,
        ]),
  ]
}
