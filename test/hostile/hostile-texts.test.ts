import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { command, start } from '../support/command.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { onTerminal, WITHOUT_TERMINAL } from '../support/terminal.ts'

/** Sets a title, hides what follows, begins a line that could be ours, turns the direction of writing, colours by a C1 character, says more than is seen. */
const HOSTILE = 'x\u001B]0;pwned\u0007\u001B[8m\r\nFORGED\u2028FORGED\u202E\u009B31m\u200B\u{E0041}y'
/** Where a control character is refused. */
const UNSEEN = 'x\u202E\u009B31m\u2066\u200By'

/** Colours and cursor movements that are ours. */
// oxlint-disable-next-line no-control-regex
const OURS = /\u001B\[(?:0|1|22|31|35|39)m|\u001B\[\d*[AGJK]/g

function mustBeClean(sent: string, what: string): void {
  const text = sent.replaceAll('\r\n', '\n').replaceAll(OURS, '').replaceAll(/\r|\n/g, '\n')
  for (const line of text.split('\n')) {
    assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u, `${what}: ${JSON.stringify(line)}`)
    // A long text goes on below itself, further to the right.
    assert.doesNotMatch(line, /^FORGED/, `${what}: ${JSON.stringify(sent)}`)
  }
}

/** Every text in a document, and what else it holds as JSON has it. */
function textsOf(value: unknown): string {
  const texts: string[] = [JSON.stringify(value)]
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'string' && texts.push(each), each))
  return texts.join('\n')
}

/** Whoever may write to the database writes it wherever a text can stand. */
async function hostileDatabase(engine: TestEngine): Promise<TestDatabase> {
  const database = await engine.fresh()
  const done = await command(['migrate'], { env: { DATABASE_URL: database.url } })
  assert.equal(done.code, 0, done.stdout)
  const now = Date.now()
  for (const [job, outcome] of [
    ['purge-audit-logs', 'failed'],
    ['purge-policy-decisions', 'succeeded'],
    [HOSTILE, 'failed'],
  ] as const)
    await database.sql(
      `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, finished_at, outcome, rows_deleted, error)
       VALUES ($1, $2, $2, $2, $3, $3, '${outcome}', 1, $2)`,
      [job, HOSTILE, now - 60_000],
    )
  await database.sql(
    `INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', $1, 1, $2)
     ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, expires_at = excluded.expires_at`,
    [HOSTILE, now + 3_600_000],
  )
  await database.sql(
    `INSERT INTO policy_decisions (user_identifier, resource, action, decision, expires_at) VALUES ('u', 'r', 'a', 'allow', ${engine.moment(-60)})`,
  )
  const quoted = `'${HOSTILE}'`
  if (engine.name === 'sqlite')
    await database.sql(`CREATE TRIGGER refuse BEFORE DELETE ON policy_decisions BEGIN SELECT RAISE(ABORT, ${quoted}); END`)
  else {
    await database.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
      RAISE EXCEPTION USING MESSAGE = ${quoted}, HINT = ${quoted}; END $f$`)
    await database.sql(`CREATE TRIGGER refuse BEFORE DELETE ON policy_decisions FOR EACH ROW EXECUTE FUNCTION refuse()`)
  }
  return database
}

for (const engine of BOTH_ENGINES) {
  describe(`texts of a hostile database, with ${engine.name}`, () => {
    it('hostile texts move nothing on a terminal and begin no line', { skip: WITHOUT_TERMINAL }, async () => {
      await using database = await hostileDatabase(engine)
      await using folder = await freshFolder()
      const env = { DATABASE_URL: database.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: `${folder.path}/${UNSEEN}` }
      for (const line of ['--run-now', '--run-now --quiet', 'status', 'history', 'config', 'archive list', 'archive verify']) {
        const { sent } = await onTerminal(line.split(' '), { env, columns: 200 })
        if (/run-now|status|history/.test(line)) assert.match(sent, /\\u202e/, `${line}: ${sent}`)
        mustBeClean(sent, line)
      }
      await database.sql(
        `INSERT INTO maintenance_migrations (version, name, checksum, applied_at, duration_ms, app_version) VALUES (999, $1, $1, ${Date.now()}, 1, $1)`,
        [HOSTILE],
      )
      for (const line of ['migrate', 'status', `archive ${UNSEEN}`, `--config ${UNSEEN}`, UNSEEN])
        mustBeClean((await onTerminal(line.split(' '), { env, columns: 200 })).sent, line)
    })

    it('hostile texts are escaped in JSON, and parse to the same texts', async () => {
      await using database = await hostileDatabase(engine)
      await using folder = await freshFolder()
      const env = { DATABASE_URL: database.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: `${folder.path}/${UNSEEN}`, LOG_FORMAT: 'json' }
      const logged = await command(['--run-now'], { env })
      assert.equal(logged.lines.length, logged.stdout.trimEnd().split('\n').length)
      mustBeClean(logged.stdout, 'the log')
      assert.ok(
        logged.lines.some(({ msg }) => String(msg).includes('\u202E')),
        logged.stdout,
      )
      const told: Readonly<Record<string, RegExp>> = {
        'history --json': /FORGED\u2028FORGED\u202E\u009B31m\u200B\u{E0041}y/u,
        'status --json': /FORGED\u202E\u009B31m\u200B\u{E0041}y/u,
        'config --json': /x\u202E\u009B31m\u2066\u200By/u,
        'archive list --json': /x\u202E\u009B31m\u2066\u200By/u,
        'archive verify --json': /"sound": ?/u,
        'archive reconcile --dry-run --json': /"dryRun": ?/u,
      }
      for (const [line, original] of Object.entries(told)) {
        const { stdout, stderr } = await command(line.split(' '), { env })
        mustBeClean(`${stdout}${stderr}`, line)
        assert.match(textsOf(JSON.parse(stdout)), original, line)
      }
    })

    it('hostile texts are escaped in the JSON that is served', async (t) => {
      await using database = await hostileDatabase(engine)
      const env = { DATABASE_URL: database.url, HTTP_ENABLED: 'true', HTTP_PORT: '0', SCHEDULE_CATCH_UP: 'false' }
      const worker = start([], { env })
      t.after(() => worker.kill('SIGKILL'))
      const at = String((await worker.line((line) => line['event'] === 'http.listening'))['url'])
      await worker.line((line) => line['event'] === 'migrations.current')
      const served = await (await fetch(`${at}/status`)).text()
      mustBeClean(served, '/status')
      assert.match(textsOf(JSON.parse(served)), /FORGED\u202E\u009B31m\u200B\u{E0041}y/u)
      worker.kill('SIGTERM')
      mustBeClean((await worker.ended).stdout, 'the worker')
    })

    it('hostile texts are escaped in JSON on a terminal', { skip: WITHOUT_TERMINAL }, async () => {
      await using database = await hostileDatabase(engine)
      const env = { DATABASE_URL: database.url, LOG_FORMAT: 'json' }
      for (const line of ['--run-now --quiet', 'history --json', 'status --json']) {
        const { sent } = await onTerminal(line.split(' '), { env })
        assert.match(sent, /\\u202e/, line)
        mustBeClean(sent, line)
      }
    })

    it('hostile texts stay within their line in a text log and in JSON', async () => {
      await using database = await hostileDatabase(engine)
      const env = { DATABASE_URL: database.url }
      const text = await command(['--run-now'], { env: { ...env, LOG_FORMAT: 'pretty' } })
      assert.match(text.stdout, /\\u001b\]0;pwned/)
      mustBeClean(text.stdout, 'pretty')
      const json = await command(['--run-now'], { env })
      const lines = json.stdout.trimEnd().split('\n')
      assert.equal(json.lines.length, lines.length, json.stdout)
      assert.match(json.stdout, /from being deleted/)
    })
  })
}
