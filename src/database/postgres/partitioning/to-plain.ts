import { DETACHED, PARTITIONED } from '../../partitioning.ts'
import type { Transaction } from '../../query.ts'
import { EQ, GT } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { indexState } from '../migrating/relations.ts'
import { briefly } from './brief-locks.ts'
import type { Work } from './conversion-work.ts'
import { CANONICAL, DIRECT_VIEWS } from './dependents-sql.ts'
import { readDependents, readGrants, type Dependents, type ViewFacts } from './dependents.ts'
import { directViews } from './swapping.ts'
import { isConverted, type Tree } from './tree.ts'
import { factsUnderLock, obstaclesOf, readUndoFacts, type LockedFacts } from './undo-facts.ts'
import { keyColumnsOf, needsIndex, undoNames, undoSql } from './undo-sql.ts'
import { blocked, changed, refused, titleOf, told } from './undo-work.ts'

/** Another session may change something between the look and the lock. */
const MOST_LOOKS = 5

/** Refuses before anything is changed. Then the table is plain from one moment to the next, and what were partitions are its children, with all their rows. */
export async function toPlain(work: Work, tree: Tree): Promise<void> {
  const { options } = work
  const title = titleOf(options)
  if (!isConverted(tree)) throw refused([`${title} was not turned into partitions by this program, which leaves it as it is.`])
  let leftAlone: readonly string[] = []
  await told(work, 'looks for what is in the way', async () => {
    const facts = await work.apply((tx) => readUndoFacts(tx, options))
    if (facts === undefined) throw changed(options)
    const obstacles = await work.apply((tx) => obstaclesOf(tx, options, tree, facts.first?.part))
    if (obstacles.length > 0) throw refused(obstacles)
    await work.apply((tx) => mustBeUnique(tx, work, facts.parent, keyColumnsOf(facts, options.column.column)))
    const unpublished = await work.apply(async (tx) => unpublishable(await factsUnderLock(tx, facts), title))
    if (unpublished.length > 0) throw refused(unpublished)
    leftAlone = facts.leftAlone
  })
  for (const table of leftAlone)
    await told(work, `leaves a table alone that is recorded as taken out of ${title} and not dropped, ${table}`, () => Promise.resolve())
  await buildIdIndex(work)
  await told(work, `makes ${title} a plain table`, async () => {
    for (let looks = 1; ; looks += 1) {
      const views = await work.apply(async (tx) =>
        directViews((await readDependents(tx, options.schema, options.column.table)) ?? NO_VIEWS),
      )
      const { value, lockedMs } = await briefly(work, { views }, (tx, lock) => turned(tx, work, lock, views))
      if (value) return { lockedMs }
      if (looks === MOST_LOOKS) throw changed(options)
    }
  })
}

const NO_VIEWS = { views: [] as readonly ViewFacts[] } as Dependents

/** `false`: something has changed meanwhile, and nothing was done. */
async function turned(tx: Transaction, { options }: Work, lock: () => Promise<void>, views: readonly ViewFacts[]): Promise<boolean> {
  const { schema, column } = options
  const found = await readUndoFacts(tx, options)
  if (found === undefined || !sameNames(directViews(found.parent), views)) return false
  await lock()
  const { rows } = await tx.query<ViewFacts>(DIRECT_VIEWS, [found.parent.id])
  const grants = await readGrants(tx, schema, column.table)
  if (!sameNames(rows, views) || JSON.stringify(grants) !== JSON.stringify(found.parent.grants)) return false
  const facts = await factsUnderLock(tx, found)
  const problems = unpublishable(facts, titleOf(options))
  if (problems.length > 0) throw refused(problems)
  await tx.query([CANONICAL, ...undoSql(facts, undoNames(column.table), column.column)].join(';\n'))
  await tx.query(`UPDATE ${qualified(schema, PARTITIONED)} SET undoing_since = $2 WHERE table_name ${EQ} $1::pg_catalog.text`, [
    column.table,
    tx.now,
  ])
  for (const name of facts.detached)
    await tx.query(`DELETE FROM ${qualified(schema, DETACHED)} WHERE relation ${EQ} $1::pg_catalog.text`, [name])
  return true
}

function sameNames(a: readonly Pick<ViewFacts, 'schema' | 'name'>[], b: readonly Pick<ViewFacts, 'schema' | 'name'>[]): boolean {
  const names = (views: typeof a): string => JSON.stringify(views.map(({ schema, name }) => `${schema}.${name}`).toSorted())
  return names(a) === names(b)
}

/** A subscriber would be sent the rows that are moved as new ones. */
function unpublishable({ parent, hasRowsToMove }: LockedFacts, title: string): readonly string[] {
  return parent.publications.flatMap(({ name, isOwner, isNamed }) => [
    ...(hasRowsToMove
      ? [
          `The publication ${quoted(name)} has ${title}, and rows of its partitions have to be moved: subscribers would be sent them once more. ` +
            (isNamed
              ? `Take ${title} out of it, and afterwards add it again, and have subscribers copy its rows anew. Run: ALTER PUBLICATION ${quoted(name)} DROP TABLE ${parent.quoted}`
              : `It is for all tables, or those of a schema, so drop its subscriptions and then the publication, and make them again afterwards.`),
        ]
      : []),
    ...(isNamed && !isOwner
      ? [
          `The publication ${quoted(name)} has ${title} and belongs to another role, so the plain table cannot be added to it. Run this command as its owner.`,
        ]
      : []),
  ])
}

/** The plain table is given back its key, for which the first partition needs an index. */
async function buildIdIndex(work: Work): Promise<void> {
  const { options, apply, outside } = work
  const { schema, column, query, pooled } = options
  const facts = await apply((tx) => readUndoFacts(tx, options))
  if (facts === undefined) throw changed(options)
  const columns = keyColumnsOf(facts, column.column)
  if (facts.first === undefined || !needsIndex(facts, column.column)) return
  const { name: first } = facts.first.part
  const index = undoNames(column.table).idIndex
  const state = await indexState(query, schema, index)
  if (state === 'valid') return
  if (await pooled())
    throw refused([
      `An index of ${schema}.${first} has to be built outside a transaction, and a pooler is between this program and PostgreSQL. Nothing was changed. ` +
        'Run this command with a DATABASE_URL that leads to PostgreSQL itself.',
    ])
  await told(work, `builds a unique index on ${columns.join(', ')} of ${first}`, async () =>
    outside(blocked(work), async (session) => {
      // What was left by a build that was killed never becomes valid.
      if (state === 'invalid') await session.dropIndex(index)
      await session.run(
        `CREATE UNIQUE INDEX CONCURRENTLY ${quoted(index)} ON ${qualified(schema, first)} (${columns.map(quoted).join(', ')})`,
        first,
      )
    }),
  )
}

/** A partitioned table cannot see to it that ids are unique. */
export async function mustBeUnique(tx: Transaction, { options }: Work, parent: Dependents, columns: readonly string[]): Promise<void> {
  if (columns.length === 0) return
  const list = columns.map((column) => `t.${quoted(column)}`).join(', ')
  const { rows } = await tx.query<{ ids: number }>(
    `SELECT pg_catalog.count(*) AS ids FROM (SELECT ${list} FROM ${parent.quoted} AS t GROUP BY ${list} HAVING pg_catalog.count(*) ${GT} '1'::pg_catalog.int8) AS d`,
  )
  const ids = rows[0]?.ids ?? 0
  if (ids === 0) return
  const plain = columns.map(quoted).join(', ')
  throw refused([
    `${ids === 1 ? '1 value' : `${ids} values`} of ${plain} ${ids === 1 ? 'is' : 'are'} on more than one row of ${titleOf(options)}, which a plain table does not allow. ` +
      `Give all rows but one another. They are found by: SELECT ${plain}, count(*) FROM ${parent.quoted} GROUP BY ${plain} HAVING count(*) > 1`,
  ])
}
