import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'

/** Counts lines of code below a folder, without empty lines, comments and imports: the total, then the ten longest files. */
function main(folder = 'src'): void {
  const files = globSync('**/*.ts', { cwd: folder }).map((path) => ({
    path,
    lines: linesOf(readFileSync(join(folder, path), 'utf8'), path),
  }))
  console.log(`${String(files.reduce((sum, { lines }) => sum + lines, 0)).padStart(6)} lines in ${files.length} files of ${folder}`)
  for (const { path, lines } of files.toSorted((a, b) => b.lines - a.lines).slice(0, 10))
    console.log(`${String(lines).padStart(6)} ${path}`)
}

function linesOf(text: string, path: string): number {
  const { program, comments } = parseSync(path, text)
  const imports = program.body.filter(({ type }) => type === 'ImportDeclaration')
  const code = [...comments, ...imports]
    .toSorted((a, b) => b.start - a.start)
    .reduce((rest, { start, end }) => rest.slice(0, start) + rest.slice(start, end).replace(/[^\n]/g, '') + rest.slice(end), text)
  return code.split('\n').filter((line) => line.trim() !== '').length
}

main(process.argv[2])
