import type { Client } from 'pg'
import { tokenize, type Token } from '../../src/migrations/sql/tokens.ts'

/** The names that statements use, whatever they mean there. */
export interface UsedNames {
  readonly operators: ReadonlySet<string>
  /** Words before a parenthesis. */
  readonly called: ReadonlySet<string>
  /** Every word and quoted identifier. */
  readonly words: ReadonlySet<string>
}

/** What the grammar itself looks up by a name: IN, BETWEEN, LIKE, row comparison and the like. */
const IMPLIED_OPERATORS = ['=', '<>', '<', '<=', '>', '>=', '~~', '||', '+', '-', '*', '/']
const IMPLIED_FUNCTIONS = ['timezone', 'date_part', 'extract', 'now']

export function namesOf(statements: Iterable<string>): UsedNames {
  const operators = new Set(IMPLIED_OPERATORS)
  const called = new Set(IMPLIED_FUNCTIONS)
  const words = new Set<string>()
  const read = (sql: string): void => {
    const { tokens } = tokenize(sql)
    for (const [at, token] of tokens.entries()) {
      if (token.kind === 'text' && token.text.startsWith('$')) read(token.text.replace(/^\$\w*\$|\$\w*\$$/g, ''))
      if (token.kind === 'word' || token.kind === 'quoted') {
        const name = token.kind === 'quoted' ? token.text.slice(1, -1).replaceAll('""', '"') : token.text.toLowerCase()
        if (/^\d/.test(name)) continue
        words.add(name)
        if (tokens[at + 1]?.text === '(') called.add(name)
      }
      const operator = operatorAt(tokens, at)
      // No operator may have the name of the arrow before a named argument; the other is another spelling of <>.
      if (operator !== undefined && operator !== '=>' && operator !== '!=') operators.add(operator)
    }
  }
  for (const statement of statements) read(statement)
  return { operators, called, words }
}

const OPERATOR = /^[-+*/<>=~!@#%^&|`?]$/

function isPart(token: Token | undefined): token is Token {
  return token?.kind === 'symbol' && OPERATOR.test(token.text)
}

/** Adjacent symbols are one operator. */
function operatorAt(tokens: readonly Token[], at: number): string | undefined {
  const first = tokens[at]
  if (!isPart(first)) return undefined
  const before = tokens[at - 1]
  if (isPart(before) && before.start + 1 === first.start) return undefined
  let operator = first.text
  for (let next = at + 1; isPart(tokens[next]) && tokens[next]!.start === first.start + operator.length; next += 1)
    operator += tokens[next]!.text
  return operator
}

/** Types that our statements, the gateway's columns and bound values have. */
const TYPES = (
  'text varchar bpchar name char int2 int4 int8 numeric float8 oid regclass tid bool bytea timestamp timestamptz date interval json jsonb uuid inet ' +
  '_text _name _char _int4'
)
  .split(' ')
  .map(own)
/** Arguments of functions with two: those of the server's own come on top. */
const PAIRED = 'text varchar name int4 int8 numeric float8 oid timestamp timestamptz interval json'.split(' ').map(own)
const POLYMORPHIC = ['anyelement', 'anyarray', 'anynonarray'].map(own)
const COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=', '~~', '~', '@>', '<@', '?'])
const BATCH = 400

function own(type: string): string {
  return `pg_catalog."${type}"`
}

export type Planted = {
  readonly operators: number
  readonly functions: number
  readonly casts: number
  readonly types: number
  readonly relations: number
}

/**
 * Fills the schema public with objects that fit better than the server's own, or as well, for all of these names. Each function of theirs notes its
 * calls, by way of `track_functions`. `spared`: relations that must be able to come to be. The session looks names up in pg_catalog alone from here on.
 */
export async function plant(admin: Client, { operators, called, words }: UsedNames, spared: ReadonlySet<string>): Promise<Planted> {
  await admin.query(`SET search_path = pg_catalog; SET check_function_bodies = off`)
  const database = (await admin.query<{ name: string }>('SELECT current_database() AS name')).rows[0]!.name
  await admin.query(`ALTER DATABASE "${database}" SET track_functions = 'all'`)
  const made: string[] = []
  let traps = 0
  const trap = (args: string, result: string): string => {
    const name = `public."trap ${(traps += 1)}"`
    made.push(`CREATE FUNCTION ${name}(${args}) RETURNS ${result} LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$`)
    return name
  }

  const pairs = [
    ...TYPES.flatMap((left) => TYPES.map((right) => [left, right] as const)),
    ...POLYMORPHIC.map((type) => [type, type] as const),
  ]
  let plantedOperators = 0
  for (const [left, right] of pairs) {
    const truth = trap(`${left}, ${right}`, own('bool'))
    const value = trap(`${left}, ${right}`, left === own('json') || left === own('jsonb') ? own('text') : left)
    for (const operator of operators) {
      made.push(
        `CREATE OPERATOR public.${operator} (leftarg = ${left}, rightarg = ${right}, function = ${COMPARISONS.has(operator) ? truth : value})`,
      )
      plantedOperators += 1
    }
  }

  const known = await admin.query<{ source: string; target: string }>(
    `SELECT castsource::regtype::oid::int8 AS source, casttarget::regtype::oid::int8 AS target FROM pg_cast`,
  )
  const oids = new Map(
    (
      await admin.query<{ type: string; oid: string }>(`SELECT t AS type, t::regtype::oid::int8 AS oid FROM unnest($1::text[]) AS t`, [
        TYPES,
      ])
    ).rows.map(({ type, oid }) => [type, oid]),
  )
  const casts = new Set(known.rows.map(({ source, target }) => `${source} ${target}`))
  let plantedCasts = 0
  for (const source of TYPES) {
    for (const target of TYPES) {
      if (source === target || casts.has(`${oids.get(source)} ${oids.get(target)}`)) continue
      made.push(`CREATE CAST (${source} AS ${target}) WITH FUNCTION ${trap(source, target)}(${source}) AS IMPLICIT`)
      plantedCasts += 1
    }
  }

  const builtIn = await admin.query<{ name: string; args: string }>(
    `SELECT proname AS name, (SELECT coalesce(string_agg(format('%I."%s"', n.nspname, t.typname), ', ' ORDER BY a.place), '')
       FROM unnest(proargtypes) WITH ORDINALITY AS a (type, place) JOIN pg_type AS t ON t.oid = a.type JOIN pg_namespace AS n ON n.oid = t.typnamespace) AS args
     FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($1)`,
    [[...called]],
  )
  const functions = new Map<string, Set<string>>()
  for (const { name, args } of builtIn.rows) {
    const signatures =
      functions.get(name) ?? new Set(['', ...TYPES, ...PAIRED.flatMap((one) => PAIRED.map((other) => `${one}, ${other}`)), ...MORE])
    functions.set(name, signatures)
    if (!/"(any|internal|cstring|anycompatible\w*|anyrange|anymultirange|anyenum)"/.test(args) && !signatures.has(`VARIADIC ${args}`))
      signatures.add(args)
  }
  let plantedFunctions = 0
  for (const [name, signatures] of functions) {
    for (const args of signatures) {
      const result = args.includes('any') ? own('bool') : args.split(', ')[0] || own('int8')
      made.push(`CREATE FUNCTION public."${name}"(${args}) RETURNS ${result} LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$`)
      plantedFunctions += 1
    }
  }

  const types = (
    await admin.query<{ name: string }>(
      `SELECT typname AS name FROM pg_type WHERE typname = ANY ($1) AND typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' ORDER BY 1`,
      [[...words]],
    )
  ).rows.map(({ name }) => name)
  for (const name of types) {
    made.push(`CREATE DOMAIN public."${name}" AS pg_catalog."${name}" CHECK (${trap(`pg_catalog."${name}"`, own('bool'))}(VALUE) IS NULL)`)
  }
  // A view may have no column of a type that only the catalogue itself has.
  const catalogue = new Map(
    (
      await admin.query<{ name: string; columns: string }>(
        `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
         FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
         WHERE c.relname = ANY ($1) AND c.relnamespace = 'pg_catalog'::regnamespace AND a.attnum > 0 AND t.typtype <> 'p' GROUP BY 1`,
        [[...words]],
      )
    ).rows.map(({ name, columns }) => [name, columns]),
  )
  const there = (await admin.query<{ name: string }>(`SELECT typname AS name FROM pg_type WHERE typnamespace = 'public'::regnamespace`))
    .rows
  const taken = new Set([...spared, ...types, ...there.map(({ name }) => name), 'public', 'pg_catalog'])
  const relations = [...words].filter((name) => !taken.has(name))
  for (const name of relations) {
    const noted = `${trap('', own('bool'))}() IS NULL`
    const columns = catalogue.get(name)
    const selected = columns === undefined ? `${noted} AS noted` : `${columns} FROM pg_catalog."${name}" WHERE ${noted}`
    made.push(`CREATE VIEW public."${name}" AS SELECT ${selected}`)
  }

  for (let at = 0; at < made.length; at += BATCH) await admin.query(made.slice(at, at + BATCH).join(';\n'))
  return { operators: plantedOperators, functions: plantedFunctions, casts: plantedCasts, types: types.length, relations: relations.length }
}

const MORE = [
  ['text', 'text', 'text'],
  ['text', 'text', 'text', 'text'],
  ['text', 'text', 'bool'],
  ['anyelement'],
  ['anyelement', 'anyelement'],
  ['VARIADIC anyarray'],
  ['text', 'VARIADIC anyarray'],
  ['text', 'text', 'VARIADIC anyarray'],
].map((args) => args.map((arg) => (arg.startsWith('VARIADIC ') ? `VARIADIC ${own(arg.slice(9))}` : own(arg))).join(', '))

/**
 * What was called, and how often. `control` calls a trap on a connection of its own first: once that call is in the counts, all before it are.
 */
export async function callsIn(admin: Client, control: () => Promise<void>): Promise<readonly string[]> {
  await control()
  for (;;) {
    await admin.query(`SELECT pg_stat_clear_snapshot()`)
    const { rows } = await admin.query<{ name: string; calls: string }>(
      `SELECT funcname || '(' || pg_get_function_arguments(funcid) || ')' AS name, calls FROM pg_stat_user_functions WHERE schemaname = 'public' ORDER BY 1`,
    )
    if (rows.some(({ name }) => name.startsWith('control('))) {
      return rows.filter(({ name }) => !name.startsWith('control(')).map(({ name, calls }) => `${name} ${calls} times`)
    }
  }
}
