import type { TestDatabase, TestEngine } from '../support/engines.ts'

/** A SQL expression for so many times one character. */
export function many(engine: TestEngine, character: string, count: number): string {
  const one = `'${character.replaceAll("'", "''")}'`
  return engine.name === 'sqlite'
    ? `replace(hex(zeroblob(${Math.ceil(count / 2)})), '0', ${one})`
    : `repeat(${one}, ${2 * Math.ceil(count / 2)})`
}

/** Inserts an audit log of a hundred days ago, later by as many seconds as its id says. */
export async function insertWith(outside: TestDatabase, engine: TestEngine, id: number, output: string): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (id, tool_name, "user", action, status, output, timestamp) SELECT ${id}, 't', 'u', 'a', 's', ${output}, ${engine.moment(-100 * 86_400 + id)}`,
  )
}
