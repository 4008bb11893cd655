import assert from 'node:assert/strict'
import { test } from 'node:test'
import { afterName, checksIn, plainSql } from '../../../src/database/sqlite/examining/definitions.ts'

test('a statement is the same with other spaces, comments, quotes and capitals', () => {
  const written = [
    `CREATE VIEW IF NOT EXISTS v AS SELECT a.id, a."user" FROM logs AS a -- a comment\n WHERE a.x = 'A  B'`,
    `create view "v" as\n\tselect a.id,a.user /* from */ from [logs] as a where a.\`x\` = 'A  B'`,
  ]
  assert.equal(new Set(written.map(afterName)).size, 1)
  assert.equal(afterName(written[0]!), `as select a.id,a.user from logs as a where a.x = 'A  B'`)
})

test('texts and names that need their quotes stay as they are', () => {
  assert.equal(plainSql(`SELECT '--', "a b", 'it''s', "A""B" -- x`), `select '--',"a b",'it''s',"a""b"`)
  assert.notEqual(plainSql(`SELECT 'A'`), plainSql(`SELECT 'a'`))
})

test('each CHECK ends where its parentheses do, whatever its texts hold', () => {
  assert.deepEqual(checksIn(`CREATE TABLE t (a INT CHECK (a > (1) AND b <> ')'), check_it INT, CHECK( b = 'check(' ), c)`), [
    `check(a >(1)and b <> ')')`,
    `check(b = 'check(')`,
  ])
  assert.deepEqual(checksIn('CREATE TABLE t (a INT) -- CHECK (a)'), [])
})
