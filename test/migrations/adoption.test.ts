import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Column, Relation, TypeFamily } from '../../src/database/migrating.ts'
import { otherHistories, shapeDifferences, type Shape } from '../../src/migrations/shapes/adoption.ts'
import { refuseOtherShapes } from '../../src/migrations/shapes/shapes.ts'

const SHAPE: Shape = {
  logs: { kind: 'table', columns: { id: 'whole', user: 'text', at: 'time', on: 'truth' } },
  recent: { kind: 'view', columns: { id: 'whole', average: 'other' } },
}

function column(family: TypeFamily | undefined, type: string, mandatory = false): Column {
  return { family, type, mandatory }
}

function relation(kind: Relation['kind'], columns: Record<string, Column>): Relation {
  return { kind, columns: new Map(Object.entries(columns)) }
}

const LOGS = {
  id: column('whole', 'bigint'),
  user: column('text', 'text', true),
  at: column('time', 'timestamp'),
  on: column('truth', 'boolean'),
}

describe('a table or view that is there', () => {
  const cases: [string, Record<string, Relation>, string[]][] = [
    ['fits when it is missing', {}, []],
    ['fits when it is the same', { logs: relation('table', LOGS) }, []],
    [
      'fits with other lengths, widths, time zones, and columns that may stay empty',
      {
        logs: relation('table', {
          extra: column('other', 'jsonb'),
          ...LOGS,
          id: column('whole', 'smallint'),
          user: column('text', 'varchar(9)'),
        }),
      },
      [],
    ],
    ['fits on an engine that holds no column to a type', { logs: relation('table', { ...LOGS, at: column(undefined, 'BLOB') }) }, []],
    [
      'differs in missing columns, families and columns that must be filled, all told at once',
      {
        logs: relation('table', {
          id: column('text', 'uuid'),
          username: column('text', 'text', true),
          at: column('whole', 'bigint'),
          on: LOGS.on,
        }),
      },
      [
        "logs.id is uuid; the worker's is a whole number",
        'logs has no column user',
        "logs.at is bigint; the worker's is a time",
        'logs has an additional column username (text) that is NOT NULL without a default',
      ],
    ],
    ['differs when a view has a table’s name', { logs: relation('view', LOGS) }, ["logs is a view; the worker's is a table"]],
    ['differs when a table has a view’s name', { recent: relation('table', {}) }, ["recent is a table; the worker's is a view"]],
    ['fits as a view with any number', { recent: relation('view', { id: LOGS.id, average: column('whole', 'bigint') }) }, []],
    [
      'differs as a view with an additional column',
      { recent: relation('view', { id: LOGS.id, average: LOGS.id, more: LOGS.user }) },
      ['the view recent has an additional column more'],
    ],
    ['differs as a view without a column', { recent: relation('view', { id: LOGS.id }) }, ['recent has no column average']],
    [
      'differs as a view in another order',
      { recent: relation('view', { average: LOGS.id, id: LOGS.id }) },
      ["the view recent has its columns in another order: average, id; the worker's order is id, average"],
    ],
  ]
  for (const [name, existing, expected] of cases) {
    it(name, () => assert.deepEqual(shapeDifferences(new Map(Object.entries(existing)), SHAPE), expected))
  }

  it('a history table of another tool is named, and is not a reason by itself', () => {
    const existing = new Map([
      ['flyway_schema_history', relation('table', {})],
      ['alembic_version', relation('table', {})],
    ])
    assert.deepEqual(otherHistories(existing), ['flyway_schema_history (Flyway)', 'alembic_version (Alembic)'])
    refuseOtherShapes(existing, [])
  })
})
