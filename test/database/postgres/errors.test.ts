import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ErrorKind } from '../../../src/database/database-error.ts'
import { databaseError, driverError, errorKindOf, stateOf, type DriverError } from '../../../src/database/postgres/postgres-errors.ts'

const TABLE: readonly (readonly [ErrorKind, Partial<DriverError>])[] = [
  ['busy', { code: '55P03' }],
  ['busy', { code: '57014', message: 'canceling statement due to statement timeout' }],
  ['busy', { code: '40P01' }],
  ['busy', { code: '40001' }],
  ['lost', { code: '25P03' }],
  ['lost', { code: '57P01' }],
  ['lost', { code: '57P02' }],
  ['lost', { code: '08006' }],
  ['lost', { code: 'ECONNRESET' }],
  ['lost', { message: 'Connection terminated unexpectedly' }],
  ['lost', { message: 'Query read timeout' }],
  ['lost', { message: 'Client has encountered a connection error and is not queryable' }],
  ['unreachable', { code: 'ECONNREFUSED' }],
  ['unreachable', { code: '57P03' }],
  ['unreachable', { code: '53300' }],
  ['forbidden', { code: '42501' }],
  ['forbidden', { code: '42501', where: 'PL/pgSQL function f() line 1' }],
  ['read-only', { code: '25006' }],
  ['row-refused', { code: '23503' }],
  ['row-refused', { code: '23514' }],
  ['row-refused', { code: 'P0001' }],
  ['row-refused', { code: 'ZZ999', where: 'PL/pgSQL function keep() line 1 at RAISE' }],
  ['row-refused', { code: '22012', where: 'PL/pgSQL function keep() line 1 at PERFORM' }],
  ['refused', { code: '28P01' }],
  ['refused', { code: '28000' }],
  ['refused', { code: '3D000' }],
  ['refused', { code: '08P01', message: 'unsupported startup parameter: options' }],
  ['refused', { code: '08P01', message: 'SSL required' }],
  ['refused', { code: '08P01', message: 'TLS certificate name mismatch' }],
  ['lost', { code: '08P01', message: 'server login has been failing, try again later' }],
  ['failed', { code: '22012' }],
  ['failed', { code: '42P01' }],
  ['failed', { code: '53100' }],
  ['failed', { code: 'XX000' }],
  ['failed', { message: 'something nobody knows' }],
]

void describe('errors of PostgreSQL', () => {
  for (const [kind, error] of TABLE) {
    void test(`${error.code ?? error.message}${error.where === undefined ? '' : ' within a function'} is ${kind}`, () => {
      assert.equal(errorKindOf({ message: 'no', ...error }), kind)
    })
  }

  void test('a missing privilege leads to the scripts that grant it, except within a function of somebody else', () => {
    const denied = { message: 'permission denied for table maintenance_archives', code: '42501' }
    const said = /^permission denied for table maintenance_archives \[42501\]\. Grant what is missing: deploy\/postgres\/purge-role\.sql /
    assert.match(databaseError(Object.assign(new Error(), denied)).message, said)
    const within = Object.assign(new Error(), { ...denied, where: 'PL/pgSQL function f() line 1' })
    assert.equal(databaseError(within).message, `${denied.message}, in ${within.where} [42501]`)
  })

  void test('the message has the code, the hint and the trigger, and never the password or what a row holds', () => {
    const said = Object.assign(new Error('no pass1word for pass1word'), {
      code: 'P0001',
      hint: 'ask',
      detail: 'Failing row contains (1, someone@example.org).',
      where: 'PL/pgSQL function keep() line 3 at RAISE\nSQL statement',
      position: '12',
    })
    const thrown = driverError(said, ['pass1word'])
    const error = databaseError(thrown)
    assert.equal(error.message, 'no *** for *** (ask), in PL/pgSQL function keep() line 3 at RAISE [P0001]')
    assert.equal(error.position, 12)
    assert.equal(error.cause, thrown)
    assert.equal(stateOf(error), 'P0001')
    assert.equal(databaseError(error), error)
  })

  void test('the error of a host with several addresses names each of them', () => {
    const both = Object.assign(new AggregateError([new Error('connect ECONNREFUSED ::1'), new Error('connect ECONNREFUSED 127.0.0.1')]), {
      code: 'ECONNREFUSED',
    })
    assert.match(databaseError(both).message, /::1, connect ECONNREFUSED 127/)
  })
})
