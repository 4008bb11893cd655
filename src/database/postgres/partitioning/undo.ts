import { DatabaseError } from '../../database-error.ts'
import { PARTITIONED, type ConversionOptions } from '../../partitioning.ts'
import type { Transaction } from '../../query.ts'
import { EQ } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { indexState } from '../migrating/relations.ts'
import { briefly } from './brief-locks.ts'
import type { ConvertingOptions, Work } from './conversion.ts'
import { boundName, keyName, preparedName } from './conversion-names.ts'
import { readDependents, type Dependents } from './dependents.ts'
import { functionStatements } from './functions.ts'
import { bringHome } from './moving.ts'
import { discard } from './setting-aside.ts'
import { toPlain } from './to-plain.ts'
import { readTree } from './tree.ts'
import { undoNames } from './undo-sql.ts'
import { blocked, refused, titleOf, told } from './undo-work.ts'

/**
 * Goes on from wherever `start` or an earlier undo was killed: what there is to do is read from the catalogue. Three parts, each of which may be repeated: the
 * table is plain, with the tables that were partitions as its children, so that no row is out of sight; their rows move into it; what is not needed goes. The
 * record goes last.
 */
export async function undoConversion(options: ConvertingOptions, { lock, listener, signal }: ConversionOptions): Promise<void> {
  await options.withMigrationLock(lock, async (apply, outside) => {
    const work: Work = { options, apply, outside, listener, signal, now: () => options.clock.now() }
    const tree = await readTree(options)
    const title = titleOf(options)
    if (tree === undefined) throw refused([`There is no table ${title}, so there is nothing to undo.`])
    if (tree.kind !== 'p' && tree.record === undefined) {
      listener.step(`${title} is a plain table; there is nothing to undo`)
      return listener.done(0, undefined)
    }
    if (!tree.isOwner)
      throw refused([`${title} belongs to ${tree.owner}, and only its owner can undo its partitions. Run this command as ${tree.owner}.`])
    if (tree.kind === 'p') await toPlain(work, tree)
    else await takeBack(work)
    await bringHome(work)
    await cleanUp(work, tree.owner)
  })
}

/** Before the swap: nothing is refused any more, and rows that were set aside are read through the table again, from one moment to the next. */
async function takeBack(work: Work): Promise<void> {
  const { schema, column } = work.options
  const [table, prepared] = [qualified(schema, column.table), preparedName(column.table)]
  const bound = boundName(column.table)
  const { isBound, parts } = await work.apply(async (tx) => ({
    isBound: await hasConstraint(tx, table, bound),
    parts: await partsWithRows(tx, work, prepared),
  }))
  if (!isBound && parts.length === 0) return
  await told(work, `has ${titleOf(work.options)} take all rows again, and show those that were set aside`, async () =>
    briefly(work, {}, async (tx, lock) => {
      const aside = await partsWithRows(tx, work, prepared)
      const [plain, made] = [await readDependents(tx, schema, column.table), await readDependents(tx, schema, prepared)]
      const isAlike = plain !== undefined && made !== undefined && columnsOf(plain) === columnsOf(made)
      const statements = aside.flatMap((name) => [
        `ALTER TABLE ${qualified(schema, prepared)} DETACH PARTITION ${qualified(schema, name)}`,
        `ALTER TABLE ${qualified(schema, name)} INHERIT ${table}`,
      ])
      await lock()
      // A child has to have all constraints of its table.
      await tx.query([`ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${quoted(bound)}`, ...(isAlike ? statements : [])].join('; '))
      // Without a column that the table was given since, it can be no child: its rows move at once.
      if (!isAlike && plain !== undefined && made !== undefined) await discard(tx, plain, made)
      await tx.query(`UPDATE ${qualified(schema, PARTITIONED)} SET undoing_since = $2 WHERE table_name ${EQ} $1::pg_catalog.text`, [
        column.table,
        tx.now,
      ])
    }),
  )
}

function columnsOf({ columns }: Dependents): string {
  return columns
    .map(({ name, type, collation }) => JSON.stringify([name, type, collation]))
    .toSorted()
    .join()
}

async function hasConstraint(tx: Transaction, table: string, name: string): Promise<boolean> {
  const { rows } = await tx.query(
    `SELECT FROM pg_catalog.pg_constraint AS k
     WHERE k.conrelid ${EQ} pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid AND k.conname ${EQ} $2::pg_catalog.name`,
    [table, name],
  )
  return rows.length > 0
}

/** Of the partitions of the table that `start` prepares; only DEFAULT is ever given any. */
async function partsWithRows(tx: Transaction, { options }: Work, prepared: string): Promise<readonly string[]> {
  const { schema, column } = options
  const tree = await readTree({ ...options, column: { ...column, table: prepared }, look: (read) => read(tx) })
  const found: string[] = []
  for (const { name } of tree?.kind === 'p' ? tree.parts : []) {
    const { rows } = await tx.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${qualified(schema, name)}) AS any`)
    if (rows[0]?.any === true) found.push(name)
  }
  return found
}

async function cleanUp(work: Work, owner: string): Promise<void> {
  const { schema, column, query } = work.options
  const { table } = column
  const prepared = preparedName(table)
  await told(work, 'drops what is not needed any more', async () => {
    await work.apply(async (tx) => {
      if ((await partsWithRows(tx, work, prepared)).length > 0)
        throw new DatabaseError(
          'failed',
          `${schema}.${prepared} has rows again, and nothing of it was dropped. Run: mcp-gateway-maintenance partition undo`,
        )
      await tx.query(
        [
          `DROP TABLE IF EXISTS ${qualified(schema, prepared)}`,
          ...functionStatements({ schema, table, column: column.column, owner, roles: [] }).drop,
        ].join('; '),
      )
    })
    for (const name of [undoNames(table).idIndex, keyName(table)]) {
      if ((await indexState(query, schema, name)) !== 'missing') await work.outside(blocked(work), (session) => session.dropIndex(name))
    }
    await work.apply((tx) => tx.query(`DELETE FROM ${qualified(schema, PARTITIONED)} WHERE table_name ${EQ} $1::pg_catalog.text`, [table]))
  })
}
