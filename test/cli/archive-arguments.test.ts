import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommand } from '../../src/cli/cli.ts'
import { MaintenanceError } from '../../src/errors.ts'

const configFile = undefined

test('the forms of archive', () => {
  assert.deepEqual(parseCommand(['archive', 'verify']), { kind: 'archive', action: 'verify', since: undefined, json: false, configFile })
  assert.deepEqual(parseCommand(['archive', 'verify', '--since', '2026-08-25', '--json']), {
    kind: 'archive',
    action: 'verify',
    since: { day: '2026-08-25' },
    json: true,
    configFile,
  })
  assert.deepEqual(parseCommand(['--config', 'archive', 'archive', 'verify', '--since', '1d']), {
    kind: 'archive',
    action: 'verify',
    since: { agoMs: 86_400_000 },
    json: false,
    configFile: 'archive',
  })
  assert.deepEqual(parseCommand(['archive', 'list']), { kind: 'archive', action: 'list', json: false, configFile })
  const restore = {
    kind: 'archive',
    action: 'restore',
    files: [],
    from: undefined,
    to: undefined,
    into: undefined,
    json: false,
    configFile,
  }
  assert.deepEqual(parseCommand(['archive', 'restore']), restore)
  assert.deepEqual(parseCommand(['archive', 'restore', 'a', 'b', '--into', 't']), { ...restore, files: ['a', 'b'], into: 't' })
  assert.deepEqual(parseCommand(['archive', 'restore', '--from', '2026-08-01', '--to', '2026-08-02']), {
    ...restore,
    from: '2026-08-01',
    to: '2026-08-02',
  })
  const reconcile = { kind: 'archive', action: 'reconcile', dryRun: false, json: false, configFile: undefined }
  assert.deepEqual(parseCommand(['archive', 'reconcile']), reconcile)
  assert.deepEqual(parseCommand(['archive', 'reconcile', '--dry-run']), { ...reconcile, dryRun: true })
  assert.equal(parseCommand(['archive', '--help']).kind, 'help')
})

test('what does not go together is refused, all of it at once', () => {
  for (const [words, ...problems] of [
    [['archive'], /needs verify, list, restore/],
    [['archive', 'purge'], /has no "purge"/],
    [['archive', 'reconcile', 'file'], /unexpected argument "file"/],
    [['archive', 'restore', '--dry-run'], /--dry-run goes with archive reconcile/],
    [['archive', 'verify', 'file'], /unexpected argument "file"/],
    [['archive', 'list', '--since', '1d', '--into', 't'], /--since goes with archive verify/, /--into goes with archive restore/],
    [['archive', 'restore', 'f', '--from', 'yesterday'], /takes files, or --from and --to/, /--from is "yesterday"/],
    [['archive', 'verify', '--since', '12'], /--since is "12"/],
    [['archive', 'verify', '--run-now'], /Unknown option '--run-now'/],
  ] as const satisfies readonly (readonly [readonly string[], ...RegExp[]])[]) {
    assert.throws(
      () => parseCommand(words),
      (error) => error instanceof MaintenanceError && error.code === 'USAGE' && problems.every((problem) => problem.test(error.message)),
    )
  }
})
