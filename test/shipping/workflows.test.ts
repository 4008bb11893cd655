import assert from 'node:assert/strict'
import { access, constants, cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { SUITES } from '../support/suites.ts'
import { CHECKOUT, outOfReach, packagingEnvironment, run } from './checkout.ts'

interface Step {
  readonly uses?: string
  readonly run?: string
}

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly strategy?: { readonly matrix: { readonly node: readonly number[] } }
        readonly 'timeout-minutes': number
        readonly permissions?: Readonly<Record<string, string>>
        readonly steps: readonly Step[]
      }
    >
  >
}

const FOLDER = `${CHECKOUT}.github/workflows/`
const texts = new Map<string, string>()
for (const file of await readdir(FOLDER)) texts.set(file, await readFile(`${FOLDER}${file}`, 'utf8'))
const workflows = new Map([...texts].map(([file, text]) => [file, parse(text) as Workflow]))
const { scripts, engines }: { scripts: Record<string, string>; engines: { node: string } } = JSON.parse(
  await readFile(`${CHECKOUT}package.json`, 'utf8'),
)

function commandsOf(file: string): string[] {
  return Object.values(workflows.get(file)!.jobs).flatMap(({ steps }) => steps.flatMap((step) => step.run ?? []))
}

describe('the workflows', () => {
  it('pin every action to one commit, with its version beside it', () => {
    for (const [file, text] of texts) {
      const used = [...text.matchAll(/uses: (.*)$/gm)].map((match) => match[1]!)
      assert.ok(used.length > 0)
      for (const each of used) assert.match(each, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, file)
    }
  })

  it('may only read, except for the job that makes the release, and have a time limit', () => {
    for (const [file, { permissions, jobs }] of workflows) {
      assert.deepEqual(permissions, { contents: 'read' }, file)
      for (const [name, job] of Object.entries(jobs)) {
        assert.deepEqual(job.permissions, name === 'release' ? { contents: 'write' } : undefined, name)
        assert.ok(job['timeout-minutes'] <= 40)
      }
    }
  })

  it('run the one continuous check on each Node that is supported', async () => {
    const { strategy, steps } = workflows.get('check.yml')!.jobs['check']!
    assert.deepEqual(strategy?.matrix.node, [22, 24, 26])
    assert.ok(engines.node.startsWith(`>=${strategy.matrix.node[0]}.`))
    for (const { jobs } of workflows.values()) assert.ok(jobs['check']!.steps.some((step) => step.run === 'sudo env "PATH=$PATH" .ci/run'))
    assert.ok(steps.some(({ uses }) => uses?.startsWith('actions/setup-node@')))
    await access(`${CHECKOUT}.ci/run`, constants.X_OK)
  })

  it('call only scripts that exist', async () => {
    const ci = await readFile(`${CHECKOUT}.ci/run`, 'utf8')
    const text = [...texts.values(), ci].join('\n').replaceAll(/^\s*#.*$/gm, '')
    const named = [...text.matchAll(/npm (?:run )?(?!ci|pack|pkg|install|sbom|run\b)([\w:-]+)/g)].map((match) => match[1]!)
    assert.ok(named.includes('test') && named.includes('build') && named.includes('lint'))
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    )
  })

  it('write the repository of a release into the package before packing it', async () => {
    const commands = commandsOf('release.yml')
    const set = commands.findIndex((each) => each.startsWith('npm pkg set '))
    assert.ok(set !== -1 && set < commands.findIndex((each) => each.startsWith('npm pack ')))
    const folder = await mkdtemp(join(tmpdir(), 'maintenance-named-'))
    try {
      await cp(`${CHECKOUT}package.json`, join(folder, 'package.json'))
      const env = { ...packagingEnvironment(), GITHUB_SERVER_URL: 'https://example.com', GITHUB_REPOSITORY: 'owner/name' }
      const done = await run('sh', ['-c', commands[set]!], { cwd: folder, env })
      assert.equal(done.code, 0, done.stderr)
      const { repository, homepage, bugs }: Record<string, unknown> = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
      assert.deepEqual(
        { repository, homepage, bugs },
        {
          repository: { type: 'git', url: 'git+https://example.com/owner/name.git' },
          homepage: 'https://example.com/owner/name#readme',
          bugs: { url: 'https://example.com/owner/name/issues' },
        },
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('list the contents of a release: those of the package with npm', async (context) => {
    const commands = commandsOf('release.yml')
    assert.ok(commands.some((each) => each.includes('docker buildx build') && each.includes('--sbom=true')))
    const folder = await mkdtemp(join(tmpdir(), 'maintenance-sbom-'))
    try {
      for (const file of ['package.json', 'package-lock.json', '.npmrc', 'tools/node24'])
        await cp(`${CHECKOUT}${file}`, join(folder, file), { recursive: true, filter: (path) => !path.includes('node_modules') })
      for (const command of commands.filter((each) => /^npm (?:pkg|install|sbom)/.test(each))) {
        const done = await run('sh', ['-c', command.replace('release/', '')], { cwd: folder })
        const unreachable = outOfReach(done)
        if (unreachable !== undefined) return context.skip(unreachable)
        assert.equal(done.code, 0, done.stderr)
      }
      const sbom: { bomFormat: string; components: readonly { name: string }[] } = JSON.parse(
        await readFile(join(folder, 'package-sbom.cdx.json'), 'utf8'),
      )
      const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
      const listed = new Set(sbom.components.map(({ name }) => name))
      assert.deepEqual(
        Object.keys(dependencies).filter((name) => !listed.has(name)),
        [],
      )
      assert.ok(sbom.bomFormat === 'CycloneDX' && !listed.has('typescript'))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('.ci/run', () => {
  it('is a script that the shell understands, and runs what the README promises', async () => {
    const done = await run('bash', ['-n', '.ci/run'], { cwd: CHECKOUT })
    assert.equal(done.code, 0, done.stderr)
    const text = await readFile(`${CHECKOUT}.ci/run`, 'utf8')
    const steps = [...text.matchAll(/^step (.+)$/gm)].map((match) => match[1]!)
    assert.equal(steps[0], 'npm ci')
    for (const step of ['npm test', 'npm run test:package', 'npm run lint', 'npm run types', 'npm run format:check'])
      assert.ok(steps.includes(step), step)
  })

  it('runs every test: what `npm test` leaves out has a script of its own', async () => {
    const steps = await readFile(`${CHECKOUT}.ci/run`, 'utf8')
    for (const [script, patterns] of Object.entries(SUITES)) {
      assert.match(steps, new RegExp(`^step npm run ${script}$`, 'm'))
      assert.deepEqual(
        [...(scripts[script] ?? '').matchAll(/'([^']+\.test\.ts)'/g)].map(([, pattern]) => pattern),
        patterns,
      )
    }
  })
})
