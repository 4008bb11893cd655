import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import { array, integer, oneof, sample } from 'fast-check'
import { charsetOf } from '../../src/database/postgres/exporting/charset.ts'
import type { Database } from '../../src/database/database.ts'
import { migrated } from '../runs/support.ts'
import { BOTH_ENGINES, encodedEngines, type TestDatabase } from '../support/engines.ts'
import { archivedRows, contents, freshFolder, purged, restored, verified } from './support.ts'

/** Adds audit logs, each with one of these texts, given as bytes, in its `output`. */
async function addTexts(outside: TestDatabase, encoding: string, texts: readonly Buffer[]): Promise<void> {
  for (let from = 0; from < texts.length; from += 5_000)
    await outside.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
       SELECT 't', 'u', 'a', 's', convert_from(b, '${encoding}'), '2020-01-01' FROM unnest($1::bytea[]) AS b`,
      [
        `{${texts
          .slice(from, from + 5_000)
          .map((text) => `"\\\\x${text.toString('hex')}"`)
          .join()}}`,
      ],
    )
}

/** Archives, verifies and restores everything; what is restored is, byte for byte, what was there. Returns what each output was written as. */
async function goesRound(outside: TestDatabase, database: Database, rows: number): Promise<unknown[]> {
  await using folder = await freshFolder()
  const before = await contents(outside, 'audit_logs')
  assert.equal(before.length, rows)
  const result = await purged(database, folder.path)
  assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', rows, rows], String(result.error))
  assert.deepEqual((await verified(database, folder.path)).problems, [])
  const back = await restored(database, folder.path)
  assert.equal(back.inserted, rows)
  assert.deepEqual(await contents(outside, 'audit_logs_restored'), before)
  assert.deepEqual(await restored(database, folder.path), { ...back, inserted: 0, present: rows })
  return (await archivedRows(folder.path)).map(({ output }) => output)
}

const byte = integer({ min: 1, max: 255 })
/** Bytes of any kind, and such as are special in JSON or come near to UTF-8. */
const anyBytes = array(
  oneof(byte, integer({ min: 0x80, max: 0xff }), integer({ min: 0x22, max: 0x22 }), integer({ min: 0x5c, max: 0x5c })),
  {
    maxLength: 12,
  },
)
const SAMPLES = { numRuns: 2_000, seed: 20261129 } as const

for (const engine of encodedEngines('SQL_ASCII'))
  test(`${engine.name}: in SQL_ASCII, text that is not UTF-8 is archived as its bytes, and restored`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const single = Array.from({ length: 255 }, (_, code) => Buffer.from([code + 1]))
    const texts = [...single, ...sample(anyBytes, SAMPLES).map((bytes) => Buffer.from(bytes)), Buffer.from('ünï \u{1F600} \u2028')]
    await addTexts(outside, 'SQL_ASCII', texts)
    const written = await goesRound(outside, database, texts.length)
    const expected = texts.map((text) => (isUtf8(text) ? text.toString() : { $text: text.toString('hex') }))
    assert.deepEqual(inOrder(written), inOrder(expected))
    console.log(`${texts.length} texts in SQL_ASCII, ${expected.filter((value) => typeof value === 'object').length} of them not UTF-8`)
  })

function inOrder(values: readonly unknown[]): string[] {
  return values.map((value) => JSON.stringify(value)).toSorted()
}

/** Ten of them to a text. */
function inRows(codes: readonly Buffer[]): Buffer[] {
  return Array.from({ length: Math.ceil(codes.length / 10) }, (_, row) => Buffer.concat(codes.slice(10 * row, 10 * row + 10)))
}

/** In each encoding: text that goes to UTF-8 and back, and bytes that stand for nothing there. */
const ENCODINGS = [
  { encoding: 'LATIN1', text: 'é\u0080ÿ"\\', nothing: undefined },
  { encoding: 'WIN1252', text: '€žÿ"', nothing: '41817f' },
  { encoding: 'EUC_JP', text: '日本語 ｶﾅ 丂', nothing: 'a9a1' },
  { encoding: 'EUC_KR', text: '한국어', nothing: 'c9a1' },
  { encoding: 'EUC_TW', text: '臺灣 乂', nothing: '8ea7fefe' },
] as const

for (const { encoding, text, nothing } of ENCODINGS)
  for (const engine of encodedEngines(encoding).slice(-1))
    test(`${engine.name}: in ${encoding}, text is archived in UTF-8, and what has no place there as its bytes`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp) VALUES ('t', 'u', 'a', 's', $1, '2020-01-01')`,
        [text],
      )
      const codes = nothing === undefined ? [] : [Buffer.from(nothing, 'hex')]
      await addTexts(outside, encoding, codes)
      const written = await goesRound(outside, database, 1 + codes.length)
      assert.deepEqual(written, [text, ...codes.map((code) => ({ $text: code.toString('hex') }))])
    })

for (const { encoding, codes } of [
  { encoding: 'LATIN1', codes: Array.from({ length: 128 }, (_, code) => Buffer.from([0x80 + code])) },
  { encoding: 'WIN1252', codes: Array.from({ length: 128 }, (_, code) => Buffer.from([0x80 + code])) },
  {
    encoding: 'EUC_JP',
    codes: Array.from({ length: 94 * 94 }, (_, code) => Buffer.from([0xa1 + Math.floor(code / 94), 0xa1 + (code % 94)])).flatMap((pair) => [
      pair,
      Buffer.concat([Buffer.from([0x8f]), pair]),
    ]),
  },
])
  for (const engine of encodedEngines(encoding).slice(-1))
    test(`${engine.name}: every code of ${encoding} is restored as the same bytes`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      const charset = (await charsetOf(database)())!
      const characters = codes.map((code) => charset.toUtf8(code))
      for (const [index, character] of characters.entries())
        if (character !== undefined) assert.deepEqual(charset.fromUtf8(character), codes[index])
      // Several to a row: those without a character, and the others.
      const withCharacters = codes.filter((_, index) => characters[index] !== undefined)
      const others = codes.filter((_, index) => characters[index] === undefined)
      const texts = [...inRows(withCharacters), ...inRows(others)]
      await addTexts(outside, encoding, texts)
      const written = await goesRound(outside, database, texts.length)
      assert.equal(written.filter((value) => typeof value === 'object').length, inRows(others).length)
      console.log(`${codes.length} codes of ${encoding}, ${others.length} of them without a character in UTF-8`)
    })

for (const engine of encodedEngines('SQL_ASCII')) {
  test(`${engine.name}: in SQL_ASCII, such text is archived and restored in columns of every type, and however long it is`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await outside.sql('CREATE DOMAIN note AS TEXT')
    await outside.sql('CREATE TYPE pair AS (a TEXT, b INTEGER)')
    await outside.sql(
      'ALTER TABLE audit_logs ADD j JSON, ADD jb JSONB, ADD v VARCHAR, ADD c CHAR(9), ADD a TEXT[], ADD n note, ADD p pair, ADD b BYTEA',
    )
    const latin = `convert_from('\\x63e922', 'SQL_ASCII')`
    const long = `convert_from('\\xe9' || decode(repeat('5c22e90a', 270000), 'hex'), 'SQL_ASCII')`
    for (const value of [latin, long])
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp, output, j, jb, v, c, a, n, p, b)
         SELECT 't', ${latin}, 'a', 's', '2020-01-01', ${value}, to_json(${latin}), to_jsonb(${latin}), ${latin}, ${latin}, ARRAY[${latin}, 'ü', NULL], ${latin}, ROW(${latin}, 5)::pair, '\\xe9'`,
      )
    await goesRound(outside, database, 2)
  })

  test(`${engine.name}: in SQL_ASCII, an id that is not UTF-8 is named, and a column is refused`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const told = { warnings: [] as string[] }
    await outside.sql('ALTER TABLE audit_logs ALTER id DROP IDENTITY')
    await outside.sql('ALTER TABLE audit_logs DROP id CASCADE, ADD id TEXT PRIMARY KEY')
    await outside.sql(
      `INSERT INTO audit_logs (id, tool_name, "user", action, status, output, timestamp)
       VALUES (convert_from('\\x63e9', 'SQL_ASCII'), 't', 'u', 'a', 's', repeat('x', 22000000), '2020-01-01'), ('ok', 't', 'u', 'a', 's', '', '2020-01-01')`,
    )
    const result = await purged(database, folder.path, {}, { told })
    assert.deepEqual([result.outcome, result.deleted, result.tooLarge], ['succeeded', 1, 1], String(result.error))
    assert.match(told.warnings.join('\n'), /id c\\351\./)

    await outside.sql(`DO $$ BEGIN EXECUTE 'ALTER TABLE audit_logs ADD "' || convert_from('\\xe9', 'SQL_ASCII') || '" TEXT'; END $$`)
    const refused = await purged(database, folder.path)
    assert.equal(refused.outcome, 'failed')
    assert.match(
      String(refused.error),
      /public\.audit_logs has a column.* whose name is not UTF-8, so its rows cannot be archived\. Nothing was deleted\./,
    )
  })
}

test('text that is not UTF-8 is not restored into a database in UTF-8', async () => {
  await using fixture = await migrated(encodedEngines('SQL_ASCII').at(-1)!)
  await using folder = await freshFolder()
  await addTexts(fixture.outside, 'SQL_ASCII', [Buffer.from('e9', 'hex'), Buffer.from('é')])
  await purged(fixture.database, folder.path)
  await using utf8 = await migrated(BOTH_ENGINES[1]!)
  await assert.rejects(restored(utf8.database, folder.path), /text that is not UTF-8.*SQL_ASCII.*Nothing of this batch was restored\./)
  await using sqlite = await migrated(BOTH_ENGINES[0]!)
  assert.equal((await restored(sqlite.database, folder.path)).inserted, 2)
  const rows = await sqlite.outside.sql<{ stored: string }>('SELECT hex(CAST(output AS BLOB)) AS stored FROM audit_logs_restored')
  assert.deepEqual(rows.map(({ stored }) => stored).toSorted(), ['C3A9', 'E9'])
})

for (const { encoding, umlaut } of [
  { encoding: 'SQL_ASCII', umlaut: 'f6' },
  { encoding: 'LATIN1', umlaut: 'f6' },
  { encoding: 'UTF8', umlaut: 'c3b6' },
])
  for (const engine of encodedEngines(encoding))
    test(`${engine.name}: in ${encoding}, a trigger that refuses rows in words of that encoding is told and recorded, and other rows go`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      // So long that it is cut, with a sign that few encodings have.
      await outside.sql(`DO $do$ BEGIN EXECUTE $q$CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
        IF OLD.output = 'x' THEN RAISE EXCEPTION 'gel$q$ || convert_from('\\x${umlaut}', '${encoding}') || $q$scht: %', repeat('no', 2000); END IF; RETURN OLD; END $f$ $q$; END $do$`)
      await outside.sql('CREATE TRIGGER refuses BEFORE DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()')
      await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
        SELECT 't', 'u', 'a', 's', CASE n WHEN 5 THEN 'x' END, '2020-01-01' FROM generate_series(1, 9) AS n`)
      const result = await purged(database, folder.path)
      assert.deepEqual([result.outcome, result.deleted, result.recorded], ['failed', 8, true], String(result.error))
      assert.match(String(result.error), /prevented 1 expired row/)
      const [run] = await outside.sql<{ outcome: string; error: string }>(
        'SELECT outcome, error FROM maintenance_runs ORDER BY id DESC LIMIT 1',
      )
      assert.equal(run!.outcome, 'failed')
      assert.match(run!.error, /prevented 1 expired row.*\.\.\.|prevented 1 expired row.*…|invalid byte sequence/)
      console.log(`${engine.name}, ${encoding}: ${run!.error.slice(150, 330)}`)
    })
