import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { indexesMade } from '../../src/migrations/indexes/concurrent-indexes.ts'
import { indexBuilds } from '../../src/migrations/indexes/slow-tables.ts'
import { parseScript } from '../../src/migrations/sql/script.ts'
import { splitStatements } from '../../src/migrations/sql/statements.ts'
import { tokenize } from '../../src/migrations/sql/tokens.ts'

const split = (sql: string): string[] => splitStatements(sql).statements.map((statement) => statement.sql)

describe('splitting a file into statements', () => {
  const wholes: [string, string][] = [
    ['a quoted semicolon', `SELECT ';', 'it''s;', "a"";b";`],
    ['a backslash before the end of a standard literal', `SELECT '\\', ';';`],
    ['an escaped quote in an E literal', `SELECT E'it\\'s;', e'\\\\';`],
    ['a dollar-quoted body with other quotes in it', `DO $do$ BEGIN PERFORM $$;'$$; PERFORM '$other$'; END $do$;`],
    ['an unnamed dollar quote', `DO $$BEGIN; END$$;`],
    ['a dollar sign in a name', `SELECT a$b, c$d$ FROM t$;`],
    ['a parameter that is no dollar quote', `SELECT $1, $2;`],
    ['a line comment', `SELECT 1 -- ; it's "here" $$\n, 2;`],
    ['a nested comment', `SELECT /* ; /* ' */ ; */ 1;`],
    ['a rule with two actions', `CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b);`],
    [
      'a SQLite trigger',
      `CREATE TRIGGER IF NOT EXISTS t AFTER UPDATE ON a BEGIN UPDATE b SET c = CASE WHEN 1 THEN 2 END; DELETE FROM d; END;`,
    ],
    [
      'a temporary SQLite trigger with a condition',
      `CREATE TEMP TRIGGER t AFTER UPDATE ON a WHEN CASE NEW.x WHEN 1 THEN 2 END BEGIN SELECT 1; END;`,
    ],
    [
      'a function with a body of SQL',
      `CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;`,
    ],
    ['a PostgreSQL trigger', `CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f();`],
    ['names beyond ASCII', `SELECT "größe", größe, '🦊;' AS 🦊;`],
    ['a backquoted name', 'SELECT `a;b`;'],
    ['a name that ends in e before a literal', `SELECT type'\\';`],
  ]
  for (const [name, sql] of wholes) {
    it(`does not part ${name}`, () => assert.deepEqual(split(`SELECT 0;\n${sql}\nSELECT 9;`), ['SELECT 0;', sql, 'SELECT 9;']))
  }

  it('comments before a statement and empty statements are left out, and the last semicolon may be missing', () => {
    assert.deepEqual(split('-- a\n;;/* b */ SELECT 1 ; -- c\n ; SELECT 2 -- d\n'), ['SELECT 1 ;', 'SELECT 2'])
    assert.deepEqual(split(' \n-- nothing\n'), [])
  })

  it('statements are numbered, with the place where they begin', () => {
    const text = '-- a\nSELECT 1;\n  SELECT 2;'
    const { statements } = splitStatements(text)
    assert.deepEqual(
      statements.map(({ number, start, sql }) => [number, text.slice(start, start + sql.length)]),
      [
        [1, 'SELECT 1;'],
        [2, 'SELECT 2;'],
      ],
    )
  })

  it('splitting any text loses nothing but comments and white space', () => {
    const fragment = fc.constantFrom(
      "'",
      '"',
      '`',
      '$$',
      '$a$',
      ';',
      '(',
      ')',
      '--',
      '/*',
      '*/',
      '\n',
      ' ',
      'E',
      '\\',
      'BEGIN',
      'END',
      'x',
      '🦊',
      '1',
    )
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 40 }), (fragments) => {
        const text = fragments.join('')
        const { tokens, open } = tokenize(text)
        let at = 0
        for (const token of tokens) {
          assert.equal(text.slice(token.start, token.start + token.text.length), token.text)
          assert.deepEqual(tokenize(text.slice(at, token.start)).tokens, [])
          at = token.start + token.text.length
        }
        assert.deepEqual(tokenize(text.slice(at, open?.start)).tokens, [])
        for (const statement of splitStatements(text).statements) {
          assert.equal(text.slice(statement.start, statement.start + statement.sql.length), statement.sql)
        }
      }),
    )
  })

  it('statements are split only at their own semicolons, whatever they quote', () => {
    const inside = fc.string({ unit: fc.constantFrom(';', "'", '"', '$', '-', '/', '*', '\\', '\n', 'a', '🦊', '(', ')') })
    const quoted = fc.oneof(
      inside.map((text) => `'${text.replaceAll("'", "''")}'`),
      inside.map((text) => `"${text.replaceAll('"', '""')}"`),
      inside.map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`),
      inside.map((text) => `$tag$${text}$tag$`),
      inside.map((text) => `/*${text.replaceAll(/[/*]/g, '')}*/`),
      inside.map((text) => `--${text.replaceAll('\n', '')}\n`),
      inside.map((text) => `(${text.replaceAll(/[^;a]/gu, '')})`),
    )
    const statement = fc.array(quoted, { maxLength: 5 }).map((parts) => `SELECT ${parts.join(' , ')} , 1;`)
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 5 }), (statements) => assert.deepEqual(split(statements.join('\n')), statements)),
    )
  })
})

describe('a migration is refused that', () => {
  const refused: [string, string, RegExp][] = [
    ['begins a transaction', 'BEGIN;', /^1:1 BEGIN is not allowed/],
    ['begins one in SQLite', 'BEGIN IMMEDIATE;', /^1:1 BEGIN/],
    ['starts one', 'START TRANSACTION;', /^1:1 START/],
    ['commits', 'SELECT 1;\n\n  Commit ;', /^3:3 COMMIT/],
    ['commits behind a comment and text beyond ASCII', "/* 🦊 */ SELECT '🦊'; /*x*/ COMMIT;", /^1:27 COMMIT/],
    ['ends', 'END;', /^1:1 END/],
    ['rolls back', 'ROLLBACK TO x;', /^1:1 ROLLBACK/],
    ['aborts', 'abort;', /^1:1 ABORT/],
    ['sets a savepoint', 'SAVEPOINT x;', /^1:1 SAVEPOINT/],
    ['releases one', 'RELEASE x;', /^1:1 RELEASE/],
    ['prepares the transaction', "PREPARE TRANSACTION 'x';", /^1:1 PREPARE TRANSACTION/],
    ['talks to psql', 'SELECT 1;\n\\restrict abc\nSELECT 2;', /^2:1 a psql command/],
    ['talks to psql at the end of a line', 'SELECT 1 \\gexec\n;', /^1:10 a psql command/],
    ['copies from standard input', 'COPY t (a) FROM stdin;', /^1:1 COPY/],
    ['vacuums', 'VACUUM;', /^1:1 VACUUM/],
    [
      'builds an index concurrently in a transaction',
      'CREATE UNIQUE INDEX CONCURRENTLY i ON t (a);',
      /^1:1 CONCURRENTLY .* begins with -- @no-transaction$/,
    ],
    ['has a directive nobody knows', '-- Why.\n\n  -- @no-transactions\nSELECT 1;', /^3:1 @no-transactions is not a directive/],
    ['has a directive with something behind it', '--@no-transaction please\n', /^1:1 @no-transaction please is not a directive/],
    [
      'asks for no transaction too late',
      'SELECT 1;\n-- @no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);',
      /^3:1 CONCURRENTLY/,
    ],
    ['sets search_path', 'SET search_path = x;', /^1:1 the worker sets search_path/],
    ['sets it for the transaction', 'SET LOCAL search_path TO x;', /^1:1 the worker sets search_path/],
    ['sets it by function', "SELECT pg_catalog.set_config('search_path', '', false);", /^1:1 the worker sets search_path/],
    ['resets everything', 'RESET ALL;', /^1:1 the worker sets search_path/],
    ['never ends a quote', "SELECT 1;\nSELECT 'x;", /^2:8 this quote never ends$/],
    ['never ends a dollar quote', 'DO $a$ x $b$', /^1:4 this quote never ends$/],
    ['never ends a comment', '/* /* */', /^1:1 this comment never ends$/],
    ['never closes a parenthesis', 'SELECT (1;\nCOMMIT;', /^1:8 this parenthesis never ends$/],
    ['never ends a trigger', 'CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1;', /^1:36 this BEGIN never ends$/],
  ]
  for (const [name, sql, expected] of refused) {
    it(name, () => {
      const { problems } = parseScript(sql)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0] ?? '', expected)
    })
  }

  it('a file that only mentions all that is accepted', () => {
    const sql = `-- COMMIT;
      SELECT 'COMMIT;', "begin"; PREPARE p AS SELECT 1; COPY t TO stdout; SET LOCAL lock_timeout = 0;
      CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN COMMIT; END $$;
      SELECT '\\';`
    assert.deepEqual(parseScript(sql).problems, [])
  })
})

describe('a migration without a transaction', () => {
  const refused: [string, string, RegExp][] = [
    [
      'holds index statements alone',
      'ALTER TABLE t ADD COLUMN a int;',
      /^2:1 a file without a transaction may only hold CREATE INDEX CONCURRENTLY/,
    ],
    ['builds no index that locks its table', 'CREATE INDEX IF NOT EXISTS i ON t (a);', /^2:1 a file without a transaction/],
    ['begins none itself', 'BEGIN;', /^2:1 a file without a transaction/],
    ['names its indexes', 'CREATE INDEX CONCURRENTLY ON t (a);', /^2:1 the index must have a name/],
    ['can build again', 'CREATE UNIQUE INDEX CONCURRENTLY i ON t (a);', /^2:1 IF NOT EXISTS is missing/],
    ['can drop again', 'DROP INDEX CONCURRENTLY i;', /^2:1 IF EXISTS is missing/],
    ['qualifies no name', 'DROP INDEX CONCURRENTLY IF EXISTS s.i;', /^2:1 a file without .* do not qualify names$/],
    ['drops one index at a time', 'DROP INDEX CONCURRENTLY IF EXISTS i, j;', /^2:1 a file without/],
    [
      'has names that the server keeps',
      `CREATE INDEX CONCURRENTLY IF NOT EXISTS ${'ä'.repeat(32)} ON t (a);`,
      /^2:1 the name .* longer than 63 bytes/,
    ],
    ['does not talk to psql', '\\echo x', /^2:1 a psql command/],
  ]
  for (const [name, sql, expected] of refused) {
    it(name, () => {
      const { problems } = parseScript(`-- @no-transaction\n${sql}`)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0] ?? '', expected)
    })
  }

  it('a file without a transaction is accepted in any spelling, and names the indexes that it leaves', () => {
    const sql = `
      -- Quickly found. -- @not a directive
      --   @no-transaction\t

      create unique index concurrently if not exists A on T (x); /* ; */
      CREATE INDEX CONCURRENTLY IF NOT EXISTS "The ""B""" ON ONLY t USING btree (y) WHERE y > 0;
      CREATE INDEX CONCURRENTLY IF NOT EXISTS c ON t (z);
      DROP INDEX CONCURRENTLY IF EXISTS c;;
      DROP INDEX CONCURRENTLY IF EXISTS d RESTRICT`
    const { problems, outside } = parseScript(sql)
    assert.deepEqual(problems, [])
    assert.deepEqual(indexesMade(outside!), ['a', 'The "B"'])
  })
})

it('index builds are recognised in statements of any spelling', () => {
  const sql = `create unique index if not exists A on only T (x); CREATE INDEX b ON "My""Table" USING btree (y);
    CREATE INDEX ON t (z); CREATE TABLE index_on (a int); -- CREATE INDEX c ON t (z);
    CREATE INDEX d ON u (a) WHERE b IS NOT NULL;`
  assert.deepEqual(indexBuilds(splitStatements(sql).statements), [
    { index: 'a', table: 't' },
    { index: 'b', table: 'My"Table' },
    { index: 'd', table: 'u' },
  ])
})
