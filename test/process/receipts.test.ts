import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { signerOf } from '../../src/receipts/signing.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { freshFolder } from '../archive/support.ts'
import { receipts } from '../runs/receipts.ts'
import { applyMigrations, AUDIT_LOGS, auditLogs, opened, run } from '../runs/support.ts'
import { command, events, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, sqliteDatabase, type TestDatabase, type TestEngine } from '../support/engines.ts'

const WITHOUT_OPENSSL = spawnSync('openssl', ['version']).status !== 0 && 'openssl is not installed'

interface Keys {
  readonly secret: string
  readonly open: string
}

function keyPair(folder: string, name: string): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const [secret, open] = [join(folder, `${name}.pem`), join(folder, `${name}.pub.pem`)]
  writeFileSync(secret, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(open, publicKey.export({ type: 'spki', format: 'pem' }))
  return { secret, open }
}

function asked(database: { readonly url: string }, words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return command(words, { env: { DATABASE_URL: database.url, ...env } })
}

interface Mark {
  readonly n: number
  readonly sha256: string
}

/** Returns what the log says of the receipt. */
async function purged(database: { readonly url: string }, env: Readonly<Record<string, string>> = {}): Promise<Mark> {
  const done = await asked(database, ['--run-now', '--job', 'purge-audit-logs'], env)
  assert.equal(done.code, 0, done.stdout)
  return events(done, 'job.finished')[0]!['receipt'] as Mark
}

async function filled(outside: TestDatabase, engine: TestEngine): Promise<void> {
  await applyMigrations(outside.url)
  await auditLogs(outside, engine, 100, 100)
  await auditLogs(outside, engine, 200, 1)
}

/** On a machine that has the export and the keys, and no database. */
function verified(words: readonly string[], cwd: string): Promise<Ended> {
  return command(['receipts', 'verify', ...words], { cwd, env: { DATABASE_URL: 'postgresql://nobody@nowhere.invalid/none' } })
}

for (const engine of BOTH_ENGINES)
  describe(`receipts, on ${engine.name}`, () => {
    test('are written by each run, exported, and verified where there is no database', async () => {
      await using outside = await engine.fresh()
      await using folder = await freshFolder()
      await filled(outside, engine)
      const { secret, open } = keyPair(folder.path, 'a')
      const marks = [await purged(outside), await purged(outside, { RECEIPTS_KEY_FILE: secret })]
      const placed = await asked(outside, ['hold', 'place', 'case-17', '--user', 'u', '--reason', 'a letter', '--by', 'Jane'], {
        RECEIPTS_KEY_FILE: secret,
      })
      assert.equal(placed.code, 0, placed.stderr)
      const inDatabase = await asked(outside, ['receipts', 'verify', '--key', open])
      assert.equal(inDatabase.code, 0, inDatabase.stdout)
      assert.match(
        inDatabase.stdout,
        /^sound: receipts 1 to 3, \d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC: 2 purges, 1 hold placed\n2 receipts are signed, checked with 1 key; 1 earlier one is not signed\.\nThe last one has the digest [0-9a-f]{64}\n$/,
      )
      const exported = await asked(outside, ['receipts', 'export'])
      assert.equal(exported.code, 0, exported.stderr)
      writeFileSync(join(folder.path, 'receipts.ndjson'), exported.stdout)
      const alone = await verified(
        ['receipts.ndjson', '--key', 'a.pub.pem', ...marks.flatMap(({ sha256 }) => ['--expect', sha256])],
        folder.path,
      )
      assert.deepEqual([alone.code, alone.stdout], [0, inDatabase.stdout], alone.stderr)
      // What an auditor asks: which rows of this month, under which retention, and which holds were respected.
      const bodies = exported.stdout
        .trimEnd()
        .split('\n')
        .map(
          (line) =>
            JSON.parse(Buffer.from((JSON.parse(line) as { payload: string }).payload, 'base64').toString()) as Record<string, unknown>,
        )
      assert.deepEqual(
        bodies.map(({ kind, retention, rows }) => [kind, retention, (rows as { deleted: number } | undefined)?.deleted]),
        [
          ['purge', '90d', 100],
          ['purge', '90d', 0],
          ['hold-placed', undefined, undefined],
        ],
      )
    })

    test('that were changed, removed or exchanged in the database are named', async () => {
      await using outside = await engine.fresh()
      await filled(outside, engine)
      for (let at = 0; at < 4; at += 1) await purged(outside)
      const off = engine.name === 'sqlite'
      const forget = off
        ? ['maintenance_receipts_not_deleted', 'maintenance_receipts_not_changed', 'maintenance_receipts_not_replaced'].map(
            (name) => `DROP TRIGGER ${name}`,
          )
        : ['ALTER TABLE maintenance_receipts DISABLE TRIGGER ALL']
      for (const sql of forget) await outside.sql(sql)
      const said = async (): Promise<[number | null, string]> => {
        const ended = await asked(outside, ['receipts', 'verify'])
        return [ended.code, ended.stdout]
      }
      const before = await receipts(outside)
      await outside.sql(`UPDATE maintenance_receipts SET body = replace(body, '"deleted":100', '"deleted":1') WHERE n = 1`)
      const [code, text] = await said()
      assert.equal(code, 1)
      assert.match(text, /^receipt 1 was changed: its text does not have the digest that is recorded with it\n/)
      assert.match(text, /receipt 2 does not follow from receipt 1 as it is/)
      assert.match(text, /receipt 1: says that run \d+ deleted 1 row, and maintenance_runs says 100\n/)
      await outside.sql('UPDATE maintenance_receipts SET body = $1 WHERE n = 1', [before[0]!.body])
      assert.equal((await said())[0], 0)
      await outside.sql('DELETE FROM maintenance_receipts WHERE n = 3')
      assert.match((await said())[1], /^receipt 3 is missing before receipt 4\nruns without a receipt: \d+; /)
      await outside.sql('DELETE FROM maintenance_receipts WHERE n = 4')
      assert.match((await said())[1], /^runs without a receipt: \d+, \d+; /, 'a tail that was cut off shows by the history')
      await outside.sql('DELETE FROM maintenance_runs')
      assert.equal((await said())[0], 0, 'not without it')
      assert.equal((await asked(outside, ['receipts', 'verify', '--expect', before[3]!.sha256])).code, 1)
    })
  })

test('a line that was cut, doubled, exchanged or changed in an export is named with its number', async () => {
  await using outside = await sqliteDatabase()
  await using folder = await freshFolder()
  await filled(outside, BOTH_ENGINES[0]!)
  for (let at = 0; at < 3; at += 1) await purged(outside)
  const lines = (await asked(outside, ['receipts', 'export'])).stdout.trimEnd().split('\n') as [string, string, string]
  const [first, second, third] = lines
  const cases: [readonly string[], RegExp][] = [
    [[first, third], /^line 2: receipt 2 is missing before receipt 3\n1 problem: /],
    [[first, second, second, third], /^line 3: receipt 2 stands there twice\n/],
    [[second, first, third], /^line 2: receipt 1 comes after receipt 2: /],
    [[first, second.slice(0, -20), third], /^line 2: is no receipt as receipts export writes them\n/],
    [['', first], /^line 1: is no receipt/],
  ]
  for (const [given, expected] of cases) {
    writeFileSync(join(folder.path, 'x.ndjson'), `${given.join('\n')}\n`)
    const ended = await verified(['x.ndjson'], folder.path)
    assert.equal(ended.code, 1)
    assert.match(ended.stdout, expected)
  }
  writeFileSync(join(folder.path, 'empty'), '')
  assert.deepEqual([(await verified(['empty'], folder.path)).stdout], ['There is no receipt yet.\n'])
})

test('an older copy of the database lacks the receipt that a log names', async () => {
  await using outside = await sqliteDatabase()
  await filled(outside, BOTH_ENGINES[0]!)
  await purged(outside)
  const copy = `${outside.file}.copy`
  copyFileSync(outside.file, copy)
  const mark = await purged(outside)
  assert.equal((await asked(outside, ['receipts', 'verify', '--expect', mark.sha256])).code, 0)
  const restored = await asked({ url: `sqlite:///${copy}` }, ['receipts', 'verify', '--expect', mark.sha256])
  assert.equal(restored.code, 1)
  assert.match(
    restored.stdout,
    new RegExp(`^no receipt has the digest ${mark.sha256}, which was expected: it was removed or changed, or the database is older`),
  )
})

test('keys may be changed: receipts of both are checked with both public keys', async () => {
  await using outside = await sqliteDatabase()
  await using folder = await freshFolder()
  await filled(outside, BOTH_ENGINES[0]!)
  const [before, after] = [keyPair(folder.path, 'a'), keyPair(folder.path, 'b')]
  await purged(outside, { RECEIPTS_KEY_FILE: before.secret })
  await purged(outside, { RECEIPTS_KEY_FILE: after.secret })
  assert.equal((await asked(outside, ['receipts', 'verify', '--key', before.open, '--key', after.open])).code, 0)
  const one = await asked(outside, ['receipts', 'verify', '--key', after.open])
  assert.match(one.stdout, /^receipt 1 is signed with the key "[0-9a-f]{16}", which was not given\n/)
})

test('openssl says yes to an exported line', { skip: WITHOUT_OPENSSL }, async () => {
  await using outside = await sqliteDatabase()
  await using folder = await freshFolder()
  await filled(outside, BOTH_ENGINES[0]!)
  const [secret, open] = [join(folder.path, 'key.pem'), join(folder.path, 'pub.pem')]
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', secret], { stdio: 'ignore' })
  execFileSync('openssl', ['pkey', '-in', secret, '-pubout', '-out', open])
  await purged(outside, { RECEIPTS_KEY_FILE: secret })
  const { stdout } = await asked(outside, ['receipts', 'export'])
  const line = JSON.parse(stdout) as {
    readonly payload: string
    readonly payloadType: string
    readonly signatures: readonly { sig: string }[]
  }
  const body = Buffer.from(line.payload, 'base64')
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${line.payloadType.length} ${line.payloadType} ${body.length} `), body])
  const verify = (bytes: Buffer): number | null => {
    writeFileSync(join(folder.path, 'signed'), bytes)
    writeFileSync(join(folder.path, 'sig'), Buffer.from(line.signatures[0]!.sig, 'base64'))
    return spawnSync('openssl', ['pkeyutl', '-verify', '-pubin', '-inkey', open, '-rawin', '-in', 'signed', '-sigfile', 'sig'], {
      cwd: folder.path,
    }).status
  }
  assert.equal(verify(signed), 0)
  assert.equal(verify(Buffer.from(signed.toString().replace('"deleted":100', '"deleted":101'))), 1)
})

test(
  'an auditor with an export and a public key learns from the document which rows went when, and whether a hold was respected',
  { skip: spawnSync('jq', ['--version']).status !== 0 && 'jq is not installed', timeout: 300_000 },
  async () => {
    await using outside = await sqliteDatabase()
    await using folder = await freshFolder()
    await applyMigrations(outside.url)
    const { secret } = keyPair(folder.path, 'receipts')
    const signer = signerOf(readFileSync(secret))
    const now = Date.now()
    const dayOf = (days: number): string => new Date(now + days * DAY).toISOString().slice(0, 10)
    // The month that is asked about; rows of before, of then and of after, of somebody who is held and of somebody who is not.
    const [from, to] = [dayOf(-70), dayOf(-40)]
    const rows = Array.from({ length: 100 }, (_, at) => ({ user: at % 4 === 0 ? 'alice' : 'bob', at: `${dayOf(-at - 1)} 12:00:00` }))
    for (const { user, at } of rows)
      await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', $1, 'invoke', 'success', $2)`, [
        user,
        at,
      ])
    const env = { RECEIPTS_KEY_FILE: secret }
    assert.equal(
      (await asked(outside, ['hold', 'place', 'case-17', '--user', 'alice', '--reason', 'a letter', '--by', 'Jane'], env)).code,
      0,
    )
    for (const days of [0, 25, 35, 50, 51, 60]) {
      const clock = { ...hostClock(), now: () => now + days * DAY }
      await using database = await opened(outside.url, clock)
      const { outcome } = await run(
        database,
        { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table', 'clock'] as const) },
        { clock, signer },
      )
      assert.equal(outcome, 'succeeded')
    }
    writeFileSync(join(folder.path, 'receipts.ndjson'), (await asked(outside, ['receipts', 'export'])).stdout)
    const left = await outside.sql<{ user: string; at: string }>('SELECT "user" AS user, timestamp AS at FROM audit_logs')

    // From here on there is no database.
    await outside[Symbol.asyncDispose]()
    const verdict = await verified(['receipts.ndjson', '--key', 'receipts.pub.pem'], folder.path)
    assert.deepEqual([verdict.code, verdict.stdout.startsWith('sound: receipts 1 to 7, ')], [0, true], verdict.stdout)
    const document = readFileSync(new URL('../../docs/receipts.md', import.meta.url), 'utf8')
    const answers = [...document.matchAll(/^jq -.* receipts\.(?:nd)?json(?: > receipts\.json)?$/gm)].map(([line]) => {
      const given = line.replace('2026-03-01', from).replace('2026-04-01', to)
      const text = execFileSync('sh', ['-c', given], { cwd: folder.path, encoding: 'utf8' })
      return text.split('\n').flatMap((each) => (each === '' ? [] : [JSON.parse(each) as Readonly<Record<string, unknown>>]))
    })
    const [, spans, ofHold, kept] = answers
    assert.equal(answers.length, 4)

    // Every row of that month that is gone lies in the span of one run, and these runs deleted as many as are gone.
    const gone = rows.filter(({ user, at }) => !left.some((row) => row.user === user && row.at === at))
    const inSpan = (at: string): readonly unknown[] =>
      spans!.filter(
        ({ from: begin, to: end }) =>
          Date.parse(`${at}Z`) >= Date.parse(typeof begin === 'string' ? begin : '1970-01-01') &&
          Date.parse(`${at}Z`) < Date.parse(String(end)),
      )
    for (const { user, at } of rows.filter((row) => row.at >= from && row.at < to)) {
      assert.equal(inSpan(at).length, 1, at)
      assert.equal(
        gone.some((row) => row.at === at),
        user !== 'alice',
        at,
      )
    }
    assert.deepEqual(
      spans!.map((span) => [span['retention'], span['outcome'], span['deleted']]),
      spans!.map((span) => ['90d', 'succeeded', gone.filter(({ at }) => inSpan(at).includes(span)).length]),
    )
    assert.ok(spans!.length >= 2 && spans!.length < 6)

    assert.deepEqual(
      ofHold!.map(({ kind, by, reason, matches }) => [kind, String(by).startsWith('Jane ('), reason, matches]),
      [['hold-placed', true, 'a letter', createHash('sha256').update('{"user":["alice"]}').digest('hex')]],
    )
    const counts = kept!.map((each) => (each['kept'] as readonly number[])[0]!)
    assert.equal(counts.length, 6)
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
    )
    assert.equal(counts.at(-1), rows.filter(({ user, at }) => user === 'alice' && Date.parse(`${at}Z`) < now - 30 * DAY).length)
    assert.equal(left.filter(({ user }) => user === 'alice').length, rows.filter(({ user }) => user === 'alice').length)
  },
)

test('a key that cannot be used ends the program with exit code 2 before anything is deleted', async () => {
  await using outside = await sqliteDatabase()
  await using folder = await freshFolder()
  await filled(outside, BOTH_ENGINES[0]!)
  const { open } = keyPair(folder.path, 'a')
  for (const [file, why] of [
    [open, /is no private ed25519 key in PEM without a passphrase/],
    [join(folder.path, 'none.pem'), /cannot be read/],
    [folder.path, /cannot be read: .*is a folder, and a regular file is needed/],
  ] as const)
    for (const words of [['--run-now'], ['hold', 'place', 'x', '--user', 'u', '--reason', 'y']]) {
      const ended = await asked(outside, words, { RECEIPTS_KEY_FILE: file })
      assert.equal(ended.code, 2, ended.stdout)
      assert.match(ended.stdout + ended.stderr, why)
      assert.match(ended.stdout + ended.stderr, /Nothing was done\. A new key is made with: openssl genpkey/)
      assert.doesNotMatch(ended.stdout + ended.stderr, /PRIVATE/)
    }
  assert.equal((await receipts(outside)).length, 0)
  assert.equal((await outside.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs'))[0]!.n, 300)
})

test('receipts verify says what it needs: a file that is there, a public key, a digest', async () => {
  await using folder = await freshFolder()
  const { secret } = keyPair(folder.path, 'a')
  writeFileSync(join(folder.path, 'x.ndjson'), '')
  for (const [words, why] of [
    [['none.ndjson'], /none\.ndjson cannot be read: .*Nothing was verified\./],
    [['x.ndjson', '--key', secret], /is no public ed25519 key in PEM\. Nothing was verified\./],
    [['x.ndjson', '--expect', 'abc'], /--expect is "abc", but needs the sha256 of a receipt/],
    [['x.ndjson', 'y.ndjson'], /takes one FILE, or none/],
  ] as const) {
    const ended = await verified(words, folder.path)
    assert.equal(ended.code, 2)
    assert.match(ended.stderr, why)
    assert.doesNotMatch(ended.stderr, /at .*\.ts:/)
  }
  assert.ok(readFileSync(secret).length > 0)
})
