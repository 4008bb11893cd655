import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { StoredColumn } from '../../src/database/exporting.ts'
import { builtInType } from '../../src/database/postgres/declared-types.ts'
import { declaredType } from '../../src/database/sqlite/declared-types.ts'
import { opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'

const INTO = 'audit_logs_restored'
const COLUMNS = [column('id', 'integer', true), column('timestamp', 'timestamp without time zone'), column('note', 'text')]
const ROW = '{"id":1,"timestamp":"2026-01-01T00:00:00","note":"a"}'

/** As a manifest may have them: each would end in SQL if it were believed. */
const HOSTILE_TYPES = [
  'text); DROP TABLE tools; --',
  'text, evil text DEFAULT (1)',
  'text CHECK (0)',
  'text DEFAULT (5)',
  'text UNIQUE',
  'text REFERENCES tools',
  'text PRIMARY KEY',
  'text COLLATE nothing',
  'text AS (1)',
  'text GENERATED ALWAYS AS (1)',
  'text /* x */',
  'text -- x',
  '"text"',
  'public.hostile',
  'hostile',
  'text(9999999999999)',
  'integer[[]',
  '(1)',
  '\u0000',
  'TEXT\nNOT NULL',
  'constructor',
  '__proto__',
  'x'.repeat(100_000),
]

for (const engine of ENGINES) {
  describe(`what a file of the archive says of its columns and rows, on ${engine.name}`, () => {
    it('a restored table has nothing but columns, whatever a file calls their types', async () => {
      await using made = await withTools()
      const { database, outside } = made
      const before = await schemaOf(database)
      for (const [at, type] of HOSTILE_TYPES.entries()) {
        const into = `restored_${at}`
        const notes = await restore(database, [COLUMNS[0]!, COLUMNS[1]!, column('note', type)], [ROW], into)
        assert.equal(notes.length, engine.name === 'sqlite' ? 0 : 1, type)
        assert.deepEqual(await outside.sql(`SELECT id, note FROM ${into}`), [{ id: 1, note: 'a' }], type)
        await outside.sql(`INSERT INTO ${into} (id) VALUES (1)`)
        await outside.sql(`DROP TABLE ${into}`)
      }
      assert.deepEqual(await schemaOf(database), before)
    })

    it('a restored table has the columns of its source if that still exists', async () => {
      await using made = await withTools()
      const { database, outside } = made
      await outside.sql('CREATE TABLE audit_logs (id integer PRIMARY KEY, timestamp timestamp NOT NULL, note varchar(20))')
      assert.deepEqual(await restore(database, COLUMNS, [ROW], INTO), [])
      const [own, restored] = [
        await database.columnsOf({ table: 'audit_logs', column: 'timestamp' }),
        await database.columnsOf({ table: INTO, column: 'timestamp' }),
      ]
      assert.deepEqual(
        restored.map(({ name, type }) => [name, type]),
        own.map(({ name, type }) => [name, type]),
      )
    })

    const odd = 'odd "name"; DROP TABLE tools; --'
    it('any valid name of a table is accepted, quoted', async () => {
      await using made = await withTools()
      const { database, outside } = made
      const columns = [...COLUMNS, column(odd, 'text'), column('constructor', 'text'), column('__proto__', 'text')]
      await restore(database, columns, [`${ROW.slice(0, -1)},${JSON.stringify(odd)}:"b","constructor":"c","__proto__":"d"}`], odd)
      const quoted = `"${odd.replaceAll('"', '""')}"`
      assert.deepEqual(await outside.sql(`SELECT ${quoted} AS odd, constructor AS c, "__proto__" AS p FROM ${quoted}`), [
        { odd: 'b', c: 'c', p: 'd' },
      ])
    })

    const refusals: readonly (readonly [what: string, columns: readonly StoredColumn[], into: string, message: RegExp])[] = [
      ['a name with NUL', [column('a\u0000b', 'text')], INTO, /column "a\\u0000b" has a name that no table/],
      ['half a character', [column('a\ud800', 'text')], INTO, /has a name that no table or column can have/],
      ['no name', [column('', 'text')], INTO, /column "" has no name/],
      ['an endless name', [column('x'.repeat(300), 'text')], INTO, /has a name of more than \d+ bytes/],
      ['one name twice', [column('a', 'text'), column('a', 'text')], INTO, /column "a" is named twice/],
      ['no columns', [], INTO, /names no columns/],
      ['too many columns', Array.from({ length: 2_001 }, (_, at) => column(`c${at}`, 'text')), INTO, /names 2001 columns, more than/],
      ["a table of the worker's", COLUMNS, 'maintenance_leases', /rows must not be restored into the table "maintenance_leases"/],
      [
        'a table of the engine',
        COLUMNS,
        engine.name === 'sqlite' ? 'sqlite_stat1' : 'pg_class',
        /rows must not be restored into the table/,
      ],
      ['a table with NUL', COLUMNS, 'a\u0000', /has a name that no table or column can have/],
    ]
    for (const [what, columns, into, message] of refusals) {
      it(`is refused before anything is made: ${what}`, async () => {
        await using made = await withTools()
        const before = await schemaOf(made.database)
        const refused = { name: 'DatabaseError', message, kind: 'failed' }
        await assert.rejects(made.database.makeRestoreTable(restoringInto(into), columns), refused)
        await assert.rejects(made.database.restore(restoringInto(into), columns, [Buffer.from(ROW)]), refused)
        assert.deepEqual(await schemaOf(made.database), before)
      })
    }

    it('a view in place of the table is refused', async () => {
      await using made = await withTools()
      await made.outside.sql(`CREATE VIEW ${INTO} AS SELECT 1 AS id, 'x' AS "timestamp", 'x' AS note`)
      await assert.rejects(restore(made.database, COLUMNS, [ROW], INTO), /audit_logs_restored is not a table|already exists|not a table/)
    })

    const lines: readonly (readonly [what: string, line: string])[] = [
      ['no JSON', '{"id":1'],
      ['two rows', `${ROW},${ROW}`],
      ['a list', '[1]'],
      ['nothing', 'null'],
      ['a column more', `${ROW.slice(0, -1)},"evil":1}`],
      ['a column less', '{"id":1,"timestamp":"2026-01-01T00:00:00"}'],
      ['a column by another name', '{"id":1,"timestamp":"2026-01-01T00:00:00","Note":"a"}'],
      ['what only an object inherits', '{"id":1,"timestamp":"2026-01-01T00:00:00","toString":"a"}'],
    ]
    for (const [what, line] of lines) {
      it(`restores nothing of a batch where a line is ${what}`, async () => {
        await using made = await withTools()
        const { database, outside } = made
        await assert.rejects(restore(database, COLUMNS, [ROW, line], INTO), {
          name: 'DatabaseError',
          message: /nothing of this batch was restored/,
        })
        assert.deepEqual(await outside.sql(`SELECT id FROM ${INTO}`), [])
      })
    }

    async function withTools(): Promise<AsyncDisposable & { readonly database: Database; readonly outside: TestDatabase }> {
      const outside = await engine.fresh()
      await outside.sql('CREATE TABLE tools (id integer PRIMARY KEY)')
      const database = await opened(outside.url)
      return {
        database,
        outside,
        async [Symbol.asyncDispose]() {
          await database[Symbol.asyncDispose]()
          await outside[Symbol.asyncDispose]()
        },
      }
    }
  })
}

describe('values in a line of a file, on sqlite', () => {
  const values = [
    '9223372036854775808',
    '{"$bytes":"0g"}',
    '{"$bytes":"0"}',
    '{"$bytes":"00","$text":"00"}',
    '{"$real":"1e5"}',
    '{"$real":"evil"}',
    '{"a":1}',
    '[1]',
  ]
  for (const value of values) {
    it(`are refused where no row can hold them: ${value}`, async () => {
      await using outside = await ENGINES[0]!.fresh()
      await using database = await opened(outside.url)
      await assert.rejects(restore(database, COLUMNS, [`{"id":1,"timestamp":null,"note":${value}}`], INTO), {
        name: 'DatabaseError',
        message: /has a value in "note" that no row of this database can hold; nothing of this batch was restored/,
      })
    })
  }
})

describe('declared types', () => {
  it('declared types that SQLite knows are kept, and others become their affinity', () => {
    const kept = ['INTEGER', 'VARCHAR(30)', 'Character Varying(5)', 'DECIMAL(10, 2)', 'TIMESTAMP', 'double precision', 'JSON']
    for (const type of kept) assert.equal(declaredType(type), type)
    assert.deepEqual(
      ['', 'timestamp with time zone', 'POINTS', 'TEXT AS (1)', 'x); DROP TABLE a; --', 'LONGBLOB', 'FLOATY'].map(declaredType),
      ['', 'NUMERIC', 'INTEGER', 'TEXT', 'NUMERIC', '', 'REAL'],
    )
  })

  it("the built-in types are named as in PostgreSQL's catalogue", () => {
    assert.equal(builtInType('character varying(30)'), 'pg_catalog.varchar(30)')
    assert.equal(builtInType('timestamp(3) with time zone'), 'pg_catalog.timestamptz(3)')
    assert.equal(builtInType('numeric(10,-2)[][]'), 'pg_catalog.numeric(10,-2)[][]')
    assert.equal(builtInType('TEXT'), 'pg_catalog.text')
    for (const type of HOSTILE_TYPES) assert.equal(builtInType(type), undefined, type)
  })
})

function column(name: string, type: string, key = false): StoredColumn {
  return { name, type, key }
}

function restoringInto(into: string) {
  return { source: 'audit_logs', into, timeColumn: 'timestamp', cutoff: undefined }
}

async function restore(
  database: Database,
  columns: readonly StoredColumn[],
  lines: readonly string[],
  into: string,
): Promise<readonly string[]> {
  const notes = await database.makeRestoreTable(restoringInto(into), columns)
  await database.restore(
    restoringInto(into),
    columns,
    lines.map((line) => Buffer.from(line)),
  )
  return notes
}

async function schemaOf(database: Database): Promise<unknown> {
  return [...(await database.relations())].map(([name, { columns }]) => `${name}: ${[...columns.keys()].join()}`).toSorted()
}
