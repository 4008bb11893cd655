// Joins src/ into the few files of JavaScript that the package and the image run: loading a hundred small ones takes longer than the work itself.
// Into dist/, or the folder that is named.
import { build } from 'esbuild'
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = process.argv[2] ?? join(root, 'dist')

// The bundler takes types away and checks none.
const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')
execFileSync(process.execPath, [tsc, '--project', root], { stdio: 'inherit' })

/** Needed by every start that reads a file of settings, and many files. */
const CARRIED_INSIDE: ReadonlySet<string> = new Set(['yaml'])

rmSync(folder, { recursive: true, force: true })
const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outdir: folder,
  bundle: true,
  // What is imported when it is needed stays a file of its own.
  splitting: true,
  format: 'esm',
  target: 'node22.18',
  // Takes the plain ES modules of a package that has them beside CommonJS for Node.
  platform: 'neutral',
  external: ['node:*', ...Object.keys(dependencies).filter((name) => !CARRIED_INSIDE.has(name))],
  metafile: true,
  logLevel: 'warning',
})

const inside = Object.keys(metafile.inputs).flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [])
for (const path of new Set(inside))
  copyFileSync(join(root, path, 'LICENSE'), join(folder, `LICENSE-${path.split('node_modules/')[1]!.replace('/', '-')}`))
