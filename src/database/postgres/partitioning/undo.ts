import type { ApplyOutside, ApplyTransaction } from '../../migrating.ts'
import { DatabaseError } from '../../database-error.ts'
import { DETACHED, PARTITIONED, type ConversionListener, type ConversionOptions } from '../../partitioning.ts'
import type { Transaction } from '../../query.ts'
import { EQ, GT, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { indexState } from '../migrating/relations.ts'
import type { ConvertingOptions } from './conversion.ts'
import { keyName, preparedName } from './conversion-names.ts'
import { readDependents, type Dependents } from './dependents.ts'
import { QUERIES } from './dependents-sql.ts'
import { dropChild, isDouble, moveHome, type Moving } from './moving.ts'
import { inQuietMoment, type QuietMoment } from './quiet-moment.ts'
import { readTree, type Part, type Tree } from './tree.ts'
import { firstFacts, obstaclesOf, type UndoFacts } from './undo-facts.ts'
import { keyOf, undoNames, undoSql } from './undo-sql.ts'

/** Whoever is waited for holds up everybody behind us. */
const SHORT_LOCK = `SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '5s'`
/** Keeps autovacuum and changes of the structure away, and nobody who reads or writes. */
const KEEP_STILL = 'IN SHARE UPDATE EXCLUSIVE MODE'

interface Undoing extends ConvertingOptions, ConversionOptions {
  readonly apply: ApplyTransaction
  readonly outside: ApplyOutside
  readonly title: string
  /** Quoted. */
  readonly table: string
}

export async function undoConversion(options: ConvertingOptions, asked: ConversionOptions): Promise<void> {
  const { schema, column } = options
  await options.withMigrationLock(asked.lock, async (apply, outside) => {
    const undoing: Undoing = {
      ...options,
      ...asked,
      apply,
      outside,
      title: `${schema}.${column.table}`,
      table: qualified(schema, column.table),
    }
    const tree = await readTree(options)
    if (tree === undefined) throw refused([`There is no table ${undoing.title}, so there is nothing to undo.`])
    if (tree.kind === 'p') await toPlain(undoing, tree)
    else if (tree.record === undefined) return nothingToUndo(asked.listener, undoing.title)
    else if (tree.record.undoingSince === undefined) await takeBack(undoing)
    await bringHome(undoing)
    await cleanUp(undoing)
  })
}

function nothingToUndo(listener: ConversionListener, title: string): void {
  listener.step(`${title} is a plain table; there is nothing to undo`)
  listener.done(0, undefined)
}

async function toPlain(undoing: Undoing, tree: Tree): Promise<void> {
  const { record } = tree
  const { title, table, column, schema, apply } = undoing
  if (record === undefined || !tree.isByTime)
    throw refused([`${title} was not turned into partitions by this program, which leaves it as it is.`])
  if (!tree.isOwner)
    throw refused([`${title} belongs to ${tree.owner}, and only its owner can undo its partitions. Run this command as ${tree.owner}.`])
  const first = tree.parts.find(({ name }) => name === record.first)
  const names = undoNames(column.table)

  await told(undoing, `looks for what would be in the way`, async () => {
    const obstacles = await apply((tx) => obstaclesOf(tx, title, tree, first))
    if (obstacles.length > 0) throw refused(obstacles)
    const doubles = await apply((tx) => doubleIds(tx, table))
    if (doubles > 0) throw refused([doubled(title, table, doubles)])
    return undefined
  })
  if (first !== undefined) await buildIdIndex(undoing, first, names.idIndex)

  await told(undoing, `makes ${title} a plain table`, async () => {
    let beganMs = 0
    await inQuietMoment(momentOf(undoing), () =>
      apply(async (tx) => {
        await tx.query(`LOCK TABLE ${table} ${KEEP_STILL}`)
        const before = await factsOf(tx, undoing)
        const views = before.parent.views.filter(({ isDirect }) => isDirect).map((view) => qualified(view.schema, view.name))
        await tx.query(SHORT_LOCK)
        // The views come first: who reads one has locked it before the table, and would wait for us while we wait for him.
        if (views.length > 0) await tx.query(`LOCK TABLE ${views.join(', ')} IN ACCESS EXCLUSIVE MODE`)
        await tx.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
        beganMs = undoing.clock.monotonicMs()
        const facts = await nowUnderLock(tx, before, table)
        mustBePublishable(facts, title)
        await tx.query(undoSql(facts, names).join(';\n'))
        await tx.query(`UPDATE ${qualified(schema, PARTITIONED)} SET undoing_since = $2 WHERE table_name ${EQ} $1::pg_catalog.text`, [
          column.table,
          tx.now,
        ])
        await tx.query(
          `DELETE FROM ${qualified(schema, DETACHED)} WHERE table_name ${EQ} $1::pg_catalog.text AND relation ${EQ} ANY ($2::pg_catalog.text[])`,
          [column.table, arrayOf(facts.detached)],
        )
      }),
    )
    return undoing.clock.monotonicMs() - beganMs
  })
}

/** What the server reads as an array of text. */
function arrayOf(names: readonly string[]): string {
  return `{${names.map((name) => `"${name.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}

async function buildIdIndex(undoing: Undoing, first: Part, idIndex: string): Promise<void> {
  const { schema, apply, outside, listener, query, title } = undoing
  const table = await apply((tx) => readDependents(tx, first.schema, first.name))
  if (table === undefined || keyOf(table) !== undefined) return
  if (await undoing.pooled())
    throw refused([
      `An index on the ids of ${schema}.${first.name} has to be built outside a transaction, and a pooler is between this program and PostgreSQL. ` +
        `${title} was left as it is. Run this command with a DATABASE_URL that leads to PostgreSQL itself.`,
    ])
  const state = await indexState(query, schema, idIndex)
  if (state === 'valid') return
  await told(undoing, `builds an index on the ids of ${first.name}`, async () => {
    await outside(
      (by, waitedMs) => listener.blocked(by, waitedMs),
      async (session) => {
        // What a killed build has left is never valid.
        if (state === 'invalid') await session.dropIndex(idIndex)
        await session.run(`CREATE UNIQUE INDEX CONCURRENTLY ${quoted(idIndex)} ON ${qualified(schema, first.name)} (id)`, first.name)
      },
    )
    return undefined
  })
}

async function factsOf(tx: Transaction, { schema, column, ...options }: Undoing): Promise<UndoFacts> {
  const tree = await readTree({ ...options, schema, column, look: (work) => work(tx) })
  const parent = await readDependents(tx, schema, column.table)
  if (tree?.record === undefined || tree.kind !== 'p' || parent === undefined) throw changed(`${schema}.${column.table}`)
  const first = tree.parts.find(({ name }) => name === tree.record?.first)
  const detached: string[] = []
  for (const { name } of tree.detached) if (await isOurs(tx, schema, name, parent)) detached.push(name)
  return {
    parent,
    first: first === undefined ? undefined : await firstFacts(tx, parent, first),
    parts: tree.parts,
    detached,
    sequenceAt: undefined,
    hasRowsToMove: true,
  }
}

/** Whether a table that was taken out may be read through ours again: what the record says of it is not believed. */
async function isOurs(tx: Transaction, schema: string, name: string, parent: Dependents): Promise<boolean> {
  const table = await readDependents(tx, schema, name)
  const columns = (of: Dependents): string =>
    of.columns
      .map((column) => JSON.stringify([column.name, column.type]))
      .toSorted()
      .join()
  if (table === undefined || table.owner !== parent.owner || columns(table) !== columns(parent)) return false
  const { rows } = await tx.query(
    `SELECT FROM pg_catalog.pg_class AS c WHERE c.oid ${EQ} $1::pg_catalog.oid AND c.relkind ${EQ} 'r'::pg_catalog."char" AND NOT c.relispartition
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid OR i.inhparent ${EQ} c.oid)`,
    [table.id],
  )
  return rows.length > 0
}

/** The little that may have changed between the look at everything and the lock. */
async function nowUnderLock(tx: Transaction, before: UndoFacts, table: string): Promise<UndoFacts> {
  const { parent } = before
  const views = (await tx.query<Dependents['views'][number]>(QUERIES.views, [parent.id])).rows
  if (JSON.stringify(views) !== JSON.stringify(parent.views)) throw changed(table)
  const sequence = parent.sequences.find(({ isIdentity }) => isIdentity)
  const at =
    sequence === undefined
      ? undefined
      : (
          await tx.query<{ last: string; isCalled: boolean }>(
            `SELECT ${textOf('s.last_value')} AS last, s.is_called AS "isCalled" FROM ${qualified(sequence.schema, sequence.name)} AS s`,
          )
        ).rows[0]
  const others = [...before.parts.map(({ name }) => name).filter((name) => name !== before.first?.table.name), ...before.detached]
  const { rows } = await tx.query<{ any: boolean }>(
    `SELECT ${others.length === 0 ? 'false' : others.map((name) => `EXISTS (SELECT FROM ONLY ${qualified(parent.schema, name)})`).join(' OR ')} AS any`,
  )
  return { ...before, sequenceAt: at, hasRowsToMove: rows[0]?.any === true }
}

/** A subscriber would be sent the rows that are moved as new ones. */
function mustBePublishable({ parent, hasRowsToMove }: UndoFacts, title: string): void {
  const problems = parent.publications.flatMap(({ name, isOwner, isNamed }) => [
    ...(hasRowsToMove
      ? [
          `The publication ${name} has ${title}, and rows of its partitions are moved: its subscribers would be sent them once more. ` +
            `Run: ALTER PUBLICATION ${name} DROP TABLE ${title}; and add the table again afterwards, with a new copy of its rows`,
        ]
      : []),
    ...(isNamed && !isOwner
      ? [
          `The publication ${name} has ${title} and belongs to another role, so the plain table cannot be added to it. Run this command as its owner.`,
        ]
      : []),
  ])
  if (problems.length > 0) throw refused(problems)
}

/** Before the swap: what `start` has prepared goes, and rows that were set aside are read through the table again at once. */
async function takeBack(undoing: Undoing): Promise<void> {
  const { title, table, column, schema, apply } = undoing
  const prepared = preparedName(column.table)
  await told(undoing, `takes the CHECK off ${title}, and brings back rows that were set aside`, async () => {
    let beganMs = 0
    await inQuietMoment(momentOf(undoing), () =>
      apply(async (tx) => {
        const parts = await partsWithRows(tx, undoing, prepared)
        await tx.query(`${SHORT_LOCK}; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
        beganMs = undoing.clock.monotonicMs()
        await tx.query(
          [
            `ALTER TABLE ${table} DROP CONSTRAINT IF EXISTS ${quoted(undoNames(column.table).boundCheck)}`,
            ...parts.flatMap((name) => [
              `ALTER TABLE ${qualified(schema, prepared)} DETACH PARTITION ${qualified(schema, name)}`,
              `ALTER TABLE ${qualified(schema, name)} INHERIT ${table}`,
            ]),
          ].join('; '),
        )
        await tx.query(`UPDATE ${qualified(schema, PARTITIONED)} SET undoing_since = $2 WHERE table_name ${EQ} $1::pg_catalog.text`, [
          column.table,
          tx.now,
        ])
      }),
    )
    return undoing.clock.monotonicMs() - beganMs
  })
}

/** Rows in every table that was a partition move into the plain one, and each goes once it is empty. */
async function bringHome(undoing: Undoing): Promise<void> {
  const { title, table, column, schema, apply, signal } = undoing
  const moving: Moving = { apply, signal, schema, table: column.table }
  for (;;) {
    const tree = await readTree(undoing)
    const child = tree?.parts[0]
    if (child === undefined) return
    if (child.kind !== 'r' || child.schema !== schema || child.owner !== tree?.owner)
      throw refused([
        `${child.schema}.${child.name} is a child of ${title}, but not one that this program has made. Run: ALTER TABLE ${qualified(child.schema, child.name)} NO INHERIT ${table}`,
      ])
    await told(undoing, `moves the rows of ${child.name} into ${title}`, async () => {
      try {
        while (
          !(await inQuietMoment(
            momentOf(undoing, child.name),
            async () => (await moveHome(moving, child.name), dropChild(moving, child.name)),
          ))
        );
      } catch (error) {
        if (!isDouble(error)) throw error
        const doubles = await apply((tx) => doubleIds(tx, table))
        throw refused([doubled(title, table, doubles)], { cause: error })
      }
      return undefined
    })
  }
}

async function cleanUp(undoing: Undoing): Promise<void> {
  const { column, schema, listener, apply, outside, query } = undoing
  await told(undoing, 'drops what is not needed any more', async () => {
    const prepared = preparedName(column.table)
    await apply(async (tx) => {
      if ((await partsWithRows(tx, undoing, prepared)).length > 0)
        throw new DatabaseError(
          'failed',
          `${schema}.${prepared} still has rows. Nothing of them was dropped. Run: mcp-gateway-maintenance partition undo`,
        )
      await tx.query(`DROP TABLE IF EXISTS ${qualified(schema, prepared)}`)
    })
    for (const name of [undoNames(column.table).idIndex, keyName(column.table)]) {
      if ((await indexState(query, schema, name)) === 'missing') continue
      await outside(
        (by, waitedMs) => listener.blocked(by, waitedMs),
        (session) => session.dropIndex(name),
      )
    }
    await apply((tx) =>
      tx.query(`DELETE FROM ${qualified(schema, PARTITIONED)} WHERE table_name ${EQ} $1::pg_catalog.text`, [column.table]),
    )
    return undefined
  })
}

/** Of the partitions of the table that `start` prepares; only DEFAULT is ever given any. */
async function partsWithRows(tx: Transaction, { schema, column, ...options }: Undoing, prepared: string): Promise<readonly string[]> {
  const tree = await readTree({ ...options, schema, column: { ...column, table: prepared }, look: (work) => work(tx) })
  const found: string[] = []
  for (const { name } of tree?.kind === 'p' ? tree.parts : []) {
    const { rows } = await tx.query<{ any: boolean }>(`SELECT EXISTS (SELECT FROM ${qualified(schema, name)}) AS any`)
    if (rows[0]?.any === true) found.push(name)
  }
  return found
}

async function doubleIds(tx: Transaction, table: string): Promise<number> {
  const { rows } = await tx.query<{ ids: number }>(
    `SELECT pg_catalog.count(*) AS ids FROM (SELECT t.id FROM ${table} AS t GROUP BY t.id HAVING pg_catalog.count(*) ${GT} '1'::pg_catalog.int8) AS d`,
  )
  return rows[0]?.ids ?? 0
}

function doubled(title: string, table: string, ids: number): string {
  const many = ids === 1 ? '1 id is' : `${ids} ids are`
  return (
    `${many} on more than one row of ${title}, which a plain table does not allow. Give all but one of them another id. ` +
    `They are found by: SELECT id, count(*) FROM ${table} GROUP BY id HAVING count(*) > 1`
  )
}

async function told({ clock, listener }: Undoing, sentence: string, work: () => Promise<number | undefined>): Promise<void> {
  listener.step(sentence)
  const beganMs = clock.monotonicMs()
  const lockedMs = await work()
  listener.done(clock.monotonicMs() - beganMs, lockedMs)
}

function momentOf({ query, clock, random, signal, schema, column, listener }: Undoing, table = column.table): QuietMoment {
  return { query, clock, random, signal, schema, table, blocked: (by, waitedMs) => listener.blocked(by, waitedMs) }
}

function changed(title: string): DatabaseError {
  return new DatabaseError('busy', `${title} was changed by another session meanwhile`)
}

function refused(problems: readonly string[], options?: ErrorOptions): DatabaseError {
  return new DatabaseError('refused', problems, options)
}
