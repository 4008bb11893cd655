import { SECOND } from '../../../time/clock.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Transaction } from '../../query.ts'
import { builtIn, EQ, GT, NE, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { stateOf } from '../postgres-errors.ts'
import { briefly, PATIENCE_MS } from './brief-locks.ts'
import type { Work } from './conversion-work.ts'
import { primaryKeyOf, readDependents } from './dependents.ts'
import { unpublished } from './publications.ts'
import { mustBeUnique } from './to-plain.ts'
import { readTree, type Part } from './tree.ts'
import { refused, titleOf, told } from './undo-work.ts'

/** 1,110 rows of 700 bytes took 62 ms. Nobody waits for them, so only a client that changes the same rows notices. */
const ROWS = 5_000
/** While triggers are switched off, inserts into the table wait. */
const ROWS_WITHOUT_TRIGGERS = 500
const LOCK = `SET LOCAL lock_timeout = '100ms'`
const FIRST_PLACE = '(0,0)'

/**
 * Moves every row of a child into the table: each statement takes a row from the one and puts it into the other, so whoever reads the table sees it once,
 * whenever he looks. Goes through the child's pages in order, for what was deleted stays in them until a vacuum, and a search from the start would read it
 * again. Rows that are changed meanwhile may go to a page that was passed: so this begins again until it finds none.
 *
 * Row triggers must not take a row that is moved for one that is new or deleted. Only a superuser can switch them off for a session. So where there are any,
 * they are switched off in the transaction that moves rows, and on again before it ends: nobody else ever sees them off. Inserts wait meanwhile, some 30 ms.
 */
async function moveHome(work: Work, child: string): Promise<void> {
  let [place, inPass]: [string, number] = [FIRST_PLACE, 0]
  for (;;) {
    if (work.signal.aborted) throw interrupted(work)
    const from = place
    const batch = await patiently(work, () => work.apply((tx) => moveBatch(tx, work, child, from)))
    inPass += batch.rows
    if (batch.last !== undefined) place = batch.last
    else if (inPass === 0) return
    else [place, inPass] = [FIRST_PLACE, 0]
  }
}

/** Others may have rows locked, or with triggers the table. */
async function patiently(work: Work, batch: () => Promise<Batch>): Promise<Batch> {
  const { clock, random } = work.options
  const beganMs = clock.monotonicMs()
  for (;;) {
    try {
      return await batch()
    } catch (error) {
      if (stateOf(error) === UNIQUE_VIOLATION) await explainDouble(work)
      const waitedMs = clock.monotonicMs() - beganMs
      if (!(error instanceof DatabaseError) || error.kind !== 'busy' || waitedMs > PATIENCE_MS || work.signal.aborted) throw error
      work.listener.blocked(error.message, waitedMs)
      await clock.sleep(SECOND * (1 + random()), work.signal)
    }
  }
}

const UNIQUE_VIOLATION = '23505'

async function explainDouble(work: Work): Promise<void> {
  const { schema, column } = work.options
  await work.apply(async (tx) => {
    const table = await readDependents(tx, schema, column.table)
    if (table !== undefined)
      await mustBeUnique(
        tx,
        work,
        table,
        (primaryKeyOf(table)?.columns ?? []).filter((name) => name !== null),
      )
  })
}

interface Batch {
  readonly rows: number
  /** `undefined`: the end of the child was reached. */
  readonly last: string | undefined
}

async function moveBatch(
  tx: Transaction,
  {
    options: {
      schema,
      column: { table },
    },
  }: Work,
  child: string,
  from: string,
): Promise<Batch> {
  const [home, away] = [qualified(schema, table), qualified(schema, child)]
  const off = [...(await firing(tx, home, FIRES_ON_INSERT)), ...(await firing(tx, away, FIRES_ON_DELETE))]
  const most = off.length > 0 ? ROWS_WITHOUT_TRIGGERS : ROWS
  if (off.length > 0)
    await tx.query([LOCK, ...off.map(({ relation, name }) => `ALTER TABLE ONLY ${relation} DISABLE TRIGGER ${quoted(name)}`)].join('; '))
  const columns = await storedColumns(tx, home)
  const { rows } = await unpublished(tx, schema, table, () =>
    tx.query<{ seen: number; gone: number; home: number; last: string | null }>(movingSql(home, away, columns), [from, most]),
  )
  const [row] = rows
  if (row === undefined || row.gone !== row.home)
    throw new DatabaseError(
      'failed',
      `${row?.gone} rows were taken from ${child} and ${row?.home} came to ${table}. All of them stay in ${child}, and are read through ${table}.`,
    )
  if (off.length > 0)
    await tx.query(
      off
        .map(({ relation, name, mode }) => `ALTER TABLE ONLY ${relation} ENABLE ${ENABLED[mode] ?? ''} TRIGGER ${quoted(name)}`)
        .join('; '),
    )
  return { rows: row.home, last: row.seen < most ? undefined : (row.last ?? undefined) }
}

function movingSql(home: string, away: string, columns: readonly string[]): string {
  const list = columns.map(quoted).join(', ')
  return `WITH chosen AS MATERIALIZED (
  SELECT t.ctid AS place FROM ONLY ${away} AS t WHERE t.ctid ${GT} $1::pg_catalog.tid LIMIT $2::pg_catalog.int8
), gone AS (
  DELETE FROM ONLY ${away} AS t WHERE t.ctid ${EQ} ANY (ARRAY(SELECT c.place FROM chosen AS c)) RETURNING ${columns.map((column) => `t.${quoted(column)}`).join(', ')}
), home AS (
  INSERT INTO ${home} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM gone RETURNING 1
)
SELECT pg_catalog.count(*) AS seen, (SELECT pg_catalog.count(*) FROM gone) AS gone, (SELECT pg_catalog.count(*) FROM home) AS home,
  (SELECT ${textOf('(pg_catalog.array_agg(c.place))[pg_catalog.count(*)]')} FROM chosen AS c) AS last FROM chosen`
}

/** Those that a row keeps: what is generated from others is generated again. */
async function storedColumns(tx: Transaction, relation: string): Promise<readonly string[]> {
  const { rows } = await tx.query<{ name: string }>(
    `SELECT a.attname::pg_catalog.text AS name FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid ${EQ} pg_catalog.to_regclass($1)::pg_catalog.oid AND a.attnum ${GT} 0 AND NOT a.attisdropped AND a.attgenerated ${EQ} ''::pg_catalog."char" ORDER BY a.attnum`,
    [relation],
  )
  return rows.map(({ name }) => name)
}

interface Firing {
  readonly relation: string
  readonly name: string
  /** `pg_trigger.tgenabled` */
  readonly mode: string
}

const ENABLED: Readonly<Record<string, string>> = { A: 'ALWAYS', R: 'REPLICA' }
/** Bits of `pg_trigger.tgtype`. */
const FIRES_ON_INSERT = 4
const FIRES_ON_DELETE = 8

async function firing(tx: Transaction, relation: string, event: number): Promise<readonly Firing[]> {
  const { rows } = await tx.query<{ name: string; mode: string }>(
    `SELECT t.tgname::pg_catalog.text AS name, t.tgenabled::pg_catalog.text AS mode FROM pg_catalog.pg_trigger AS t
     WHERE t.tgrelid ${EQ} pg_catalog.to_regclass($1)::pg_catalog.oid AND NOT t.tgisinternal AND t.tgenabled ${NE} 'D'::pg_catalog."char"
       AND (t.tgtype ${builtIn('&')} $2::pg_catalog.int2) ${NE} '0'::pg_catalog.int2 ORDER BY t.tgname`,
    [relation, event],
  )
  return rows.map((row) => ({ relation, ...row }))
}

/** Of the children of a plain table, one after the other, until there is none. */
export async function bringHome(work: Work): Promise<void> {
  const { options } = work
  const { schema, column } = options
  const title = titleOf(options)
  for (;;) {
    const children = (await readTree(options))?.parts ?? []
    if (children.length === 0) return
    for (const child of children) await mustBeOurs(work, child)
    const full: string[] = []
    for (const { name } of children) if (!(await work.apply((tx) => isEmpty(tx, schema, name)))) full.push(name)
    for (const name of full) await told(work, `moves the rows of ${name} into ${title}`, () => moveHome(work, name))
    await told(
      work,
      `drops ${children.length === 1 ? 'the table' : 'the tables'} that ${children.length === 1 ? 'was a partition' : 'were partitions'}`,
      async () => {
        for (const { name } of children)
          await dropChild({ ...work, options: { ...options, column: { ...column, table: name } } }, column.table)
      },
    )
  }
}

/** Whoever made it a child did so after ours were. */
async function mustBeOurs({ options, apply }: Work, { schema, name, kind, id }: Part): Promise<void> {
  const [child, table] = [qualified(schema, name), qualified(options.schema, options.column.table)]
  const { rows } = await apply((tx) =>
    tx.query<{ is: boolean }>(
      `SELECT (c.relowner ${EQ} t.relowner AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent ${EQ} c.oid)) AS is
       FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_class AS t ON t.oid ${EQ} pg_catalog.to_regclass($2::pg_catalog.text)::pg_catalog.oid WHERE c.oid ${EQ} $1::pg_catalog.oid`,
      [id, table],
    ),
  )
  if (schema === options.schema && kind === 'r' && rows[0]?.is === true) return
  throw refused([
    `${child} is a child of ${titleOf(options)}, but was no partition of it. Rows are moved once it is none any more. Run: ALTER TABLE ${child} NO INHERIT ${table}`,
  ])
}

/** It stays where it has rows again. */
async function dropChild(work: Work, table: string): Promise<void> {
  const { schema, column } = work.options
  const child = qualified(schema, column.table)
  await briefly(work, {}, async (tx, lock) => {
    await lock()
    if (await isEmpty(tx, schema, column.table))
      await tx.query(`ALTER TABLE ${child} NO INHERIT ${qualified(schema, table)}; DROP TABLE ${child}`)
  })
}

function interrupted({ options }: Work): DatabaseError {
  return new DatabaseError(
    'busy',
    `Interrupted while rows were moved back. All of them are read through ${titleOf(options)}. Run: mcp-gateway-maintenance partition undo`,
  )
}

async function isEmpty(tx: Transaction, schema: string, name: string): Promise<boolean> {
  const { rows } = await tx.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ONLY ${qualified(schema, name)}) AS empty`)
  return rows[0]?.empty === true
}
