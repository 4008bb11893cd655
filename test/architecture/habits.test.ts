import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readSourceFiles, sourceFile, type SourceFile } from './source-files.ts'

const FILES = readSourceFiles('src')

/** Where the words of an engine may stand; everywhere else a difference is a fact or a verb on the database boundary. */
const KNOWS_ENGINES = /^(database\/|config\/|migrations\/(migration-files|file-names|new-migration)\.ts$)/

describe('the habits of src/', () => {
  it('only main.ts and shutdown.ts reach the process', () => {
    assert.deepEqual(linesWith(/\bprocess\b(?!\s*:)|node:process/, ['main.ts', 'shutdown.ts']), [])
  })

  it("only time/clock.ts reads the host's clock", () => {
    assert.deepEqual(linesWith(/\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|\bperformance\.now\b|\bhrtime\b/, ['time/clock.ts']), [])
  })

  it('an engine is named only where engines are known', () => {
    const found = FILES.filter(({ path }) => !KNOWS_ENGINES.test(path)).flatMap((file) => matching(file, file.code, /postgres|sqlite/i))
    assert.deepEqual(found, [])
  })

  it('the type checker is silenced nowhere', () => {
    const found = FILES.flatMap((file) => [
      ...matching(file, file.text, /@ts-(ignore|expect-error|nocheck)/),
      ...matching(file, file.bare, /[:<,|&]\s*any\b|\bas\s+any\b|\bany\[\]/),
    ])
    assert.deepEqual(found, [])
  })

  it('code is distinguished from comments, strings, templates and regular expressions', () => {
    const { code, bare } = sourceFile(
      'a.ts',
      "const a = 'x' // x\nconst b = `x ${x({ y: `${x}` })} x` /* x */\nconst c = /x['`]/.test(d) && 6 / x / 2",
    )
    assert.equal(code.match(/x/g)?.length, 7)
    assert.equal(bare.match(/x/g)?.length, 3)
  })
})

function linesWith(pattern: RegExp, allowed: readonly string[]): string[] {
  return FILES.filter(({ path }) => !allowed.includes(path)).flatMap((file) => matching(file, file.bare, pattern))
}

function matching({ path, text }: SourceFile, seen: string, pattern: RegExp): string[] {
  const lines = text.split('\n')
  return seen.split('\n').flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${lines[at]!.trim()}`] : []))
}
