import { DatabaseError } from '../../database-error.ts'
import type { ApplyTransaction } from '../../migrating.ts'
import type { Transaction } from '../../query.ts'
import { builtIn, EQ, GT, NE, textOf } from '../exact.ts'
import { qualified, quoted } from '../identifiers.ts'
import { stateOf } from '../postgres-errors.ts'

/** What moves rows out of tables that were partitions, into the plain table whose children they are. */
export interface Moving {
  readonly apply: ApplyTransaction
  readonly signal: AbortSignal
  readonly schema: string
  /** The plain table. */
  readonly table: string
}

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
export async function moveHome(moving: Moving, child: string): Promise<number> {
  let moved = 0
  for (let place: string | undefined = FIRST_PLACE, inPass = 0; ;) {
    if (moving.signal.aborted) throw interrupted()
    const from: string = place
    const batch: Batch = await moving.apply((tx) => moveBatch(tx, moving, child, from))
    moved += batch.rows
    inPass += batch.rows
    place = batch.last
    if (place !== undefined) continue
    if (inPass === 0) return moved
    ;[place, inPass] = [FIRST_PLACE, 0]
  }
}

interface Batch {
  readonly rows: number
  /** `undefined`: the end of the child was reached. */
  readonly last: string | undefined
}

async function moveBatch(tx: Transaction, { schema, table }: Moving, child: string, from: string): Promise<Batch> {
  const [home, away] = [qualified(schema, table), qualified(schema, child)]
  const off = [...(await firing(tx, home, FIRES_ON_INSERT)), ...(await firing(tx, away, FIRES_ON_DELETE))]
  const most = off.length > 0 ? ROWS_WITHOUT_TRIGGERS : ROWS
  if (off.length > 0)
    await tx.query([LOCK, ...off.map(({ relation, name }) => `ALTER TABLE ONLY ${relation} DISABLE TRIGGER ${quoted(name)}`)].join('; '))
  const columns = await storedColumns(tx, home)
  const { rows } = await tx.query<{ seen: number; gone: number; home: number; last: string | null }>(movingSql(home, away, columns), [
    from,
    most,
  ])
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

/** `false`: it has rows again. Rejects with `busy` if somebody reads it for longer. */
export function dropChild({ apply, schema, table }: Moving, child: string): Promise<boolean> {
  const name = qualified(schema, child)
  return apply(async (tx) => {
    await tx.query(`${LOCK}; LOCK TABLE ONLY ${name} IN ACCESS EXCLUSIVE MODE`)
    const { rows } = await tx.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ONLY ${name}) AS empty`)
    if (rows[0]?.empty !== true) return false
    await tx.query(`ALTER TABLE ${name} NO INHERIT ${qualified(schema, table)}; DROP TABLE ${name}`)
    return true
  })
}

export function isDouble(error: unknown): boolean {
  return stateOf(error) === '23505'
}

function interrupted(): DatabaseError {
  return new DatabaseError(
    'busy',
    'Interrupted while rows were moved back. Nothing is lost: all of them are read through the table. Run: mcp-gateway-maintenance partition undo',
  )
}
