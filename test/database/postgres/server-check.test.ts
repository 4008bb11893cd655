import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkServer, UnsuitableServer, type ServerFacts } from '../../../src/database/postgres/connection/server-check.ts'

const SOUND: ServerFacts = {
  version: 'PostgreSQL 18.4 on x86_64-pc-linux-gnu, compiled by gcc',
  number: 180_004,
  standby: false,
  readOnly: false,
  startedAt: 1,
  pid: 1,
}

function refusal(facts: Partial<ServerFacts>, target: 'read-write' | 'any' = 'read-write'): string {
  try {
    checkServer({ ...SOUND, ...facts }, target)
  } catch (error) {
    assert.ok(error instanceof UnsuitableServer)
    return `${error.kind}${error.passing ? ', waited for' : ''}: ${error.message}. ${error.advice}`
  }
  return ''
}

describe('a server that is connected to', () => {
  it('PostgreSQL 13 to 18 is accepted, and a newer version with a note', () => {
    for (let major = 13; major <= 18; major += 1)
      assert.deepEqual(checkServer({ ...SOUND, version: `PostgreSQL ${major}.1 on x`, number: major * 10_000 + 1 }, 'read-write'), [])
    assert.deepEqual(checkServer({ ...SOUND, version: 'PostgreSQL 19beta1 on x', number: 190_000 }, 'read-write'), [
      'PostgreSQL 19 is newer than those this version was tested with (13 to 18)',
    ])
    assert.deepEqual(checkServer({ ...SOUND, version: 'EnterpriseDB 16.1 (Postgres Plus)', number: 160_001 }, 'read-write'), [])
  })

  it('a version below 13 is refused, for reading too', () => {
    for (const target of ['read-write', 'any'] as const)
      assert.equal(
        refusal({ version: 'PostgreSQL 12.22 (Debian 12.22-1) on x', number: 120_022 }, target),
        'refused: is version 12.22, but the oldest supported version is 13. Upgrade the server to PostgreSQL 13 to 18.',
      )
    assert.match(refusal({ version: 'PostgreSQL 9.6.24 on x', number: 90_624 }), /^refused: is version 9\.6\.24/)
    assert.match(refusal({ version: 'PostgreSQL x', number: NaN }), /^refused/)
  })

  it('another product that speaks the protocol is refused, whatever version it reports', () => {
    for (const [version, name] of [
      ['CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)', 'CockroachDB'],
      ['PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64', 'YugabyteDB'],
      ['PostgreSQL 8.0.2 on i686-pc-linux-gnu, Redshift 1.0.12103', 'Redshift'],
      ['', 'a server without a version'],
    ] as const)
      assert.ok(refusal({ version }).startsWith(`refused: is ${name}, which speaks PostgreSQL's protocol but is not PostgreSQL.`), version)
  })

  it('a standby is waited for, a server that was set to read-only is not, and both are accepted for reading', () => {
    assert.equal(
      refusal({ standby: true, readOnly: true }),
      'read-only, waited for: is a standby and takes no writes. Point DATABASE_URL at the primary.',
    )
    assert.match(refusal({ readOnly: true }), /^read-only: is read-only for this role \(default_transaction_read_only\)/)
    assert.deepEqual(checkServer({ ...SOUND, readOnly: true }, 'any'), [])
    assert.deepEqual(checkServer({ ...SOUND, standby: true }, 'any'), ['connected to a standby: the data may be older than on the primary'])
  })
})
