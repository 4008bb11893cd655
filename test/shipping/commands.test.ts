import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { access, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import { parse } from 'yaml'
import { locationOf } from '../../src/archive/archive-location.ts'
import { parseCommand } from '../../src/cli/parse.ts'
import { loadSettings } from '../../src/config/load.ts'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { freshFolder } from '../archive/support.ts'
import { migrated } from '../migrations/support.ts'
import { freshPostgres, freshSqliteFile, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { postgresDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { S3Server } from '../support/s3/server.ts'
import { CHECKOUT, packagingEnvironment, run, type Place } from './checkout.ts'
import { readDocuments } from './documents.ts'
import { templateOf, workerOf } from './kubernetes.ts'
import { kustomize, withoutKubectl, type Resource } from './kustomize.ts'
import { ENVIRONMENT } from './offered.ts'

const documents = await readDocuments()
const { scripts, bin }: { scripts: Record<string, string>; bin: Record<string, string> } = JSON.parse(
  await readFile(`${CHECKOUT}package.json`, 'utf8'),
)
const composeText = await readFile(`${CHECKOUT}compose.yaml`, 'utf8')
const archiveText = await readFile(`${CHECKOUT}deploy/compose/archive.yaml`, 'utf8')
const compose: { services: Record<string, unknown> } = parse(composeText)
const tests = { package: 'test/shipping/package.test.ts', ci: '.ci/run' }

/** What is done with a command in a document: it is run here, or `instead` says why not and `check` compares what it names. */
interface Rule {
  readonly like: RegExp
  readonly instead?: string
  check(command: string, match: RegExpExecArray): Promise<void>
}

function missing(program: string): string | undefined {
  return spawnSync(program, ['--version']).error === undefined ? undefined : `${program} is not on this machine`
}

/** Returns what the command prints on standard output. */
async function succeeds(command: string, place: Partial<Place> = {}): Promise<string> {
  const done = await run('sh', ['-c', command], { cwd: CHECKOUT, ...place })
  assert.equal(done.code, 0, `${command}\n${done.stdout}${done.stderr}`)
  return done.stdout
}

/** Runs a command in an empty folder, on a SQLite file of its own. */
async function onSqlite(command: string): Promise<void> {
  await using fresh = await freshSqliteFile()
  await succeeds(command, { env: { ...packagingEnvironment(), DATABASE_URL: `sqlite:///${fresh.file}` } })
}

/** Replaces the database of the documents, PostgreSQL on localhost, by that of the tests. */
function onServer(command: string, { url }: FreshPostgres): string {
  const { host, pathname } = new URL(url)
  return command.replaceAll(/@localhost(?::5432)?\/mcp_gateway/g, `@${host}${pathname}`)
}

async function filesNamed(command: string): Promise<string[]> {
  const named = [...command.matchAll(/(?<![\w/.-])(?:deploy|migrations|test|bench)\/[\w./@-]+/g)].map((match) => match[0])
  for (const file of named) await access(`${CHECKOUT}${file}`)
  return named
}

function scriptsNamed(command: string): void {
  for (const [, name = ''] of command.matchAll(/npm run (?:-s )?([\w:-]+)/g)) assert.ok(name in scripts, name)
}

const CONTAINERS = 'there is no container engine here'
const CLUSTER = 'there is no cluster here'
const SYSTEMD = 'systemd does not run here'
const ITSELF = 'the tests would start themselves'
const CHANGES_CHECKOUT = 'it would change the checkout that the tests run in'

/** The commands of a shell function, with the arguments that it would be given. */
function partsOf(body: string): string[] {
  return body.replace('"$@"', 'status').split(/ \| (?=kubectl|jq)| && |; /)
}

const OVERLAYS = `${CHECKOUT}deploy/kubernetes/overlays/`
const EXAMPLE_BUCKET = `${CHECKOUT}deploy/kubernetes/example-bucket`

function ofKubernetes(folder: string): Promise<readonly Resource[]> {
  return kustomize(`${CHECKOUT}deploy/kubernetes/${folder}`)
}

/** If kubectl is installed, it gets as far as calling a cluster, which does not answer: so it accepts the arguments, and the files are valid. */
async function understoodByKubectl(command: string): Promise<void> {
  if ((await withoutKubectl()) !== undefined) return
  const nowhere = 'kubectl --kubeconfig=/dev/null --server=http://127.0.0.1:1 --request-timeout=5s'
  const { code, stderr } = await run('sh', ['-c', command.replace(/^kubectl/, nowhere)], { cwd: CHECKOUT })
  assert.notEqual(code, 0)
  assert.match(stderr, /127\.0\.0\.1:1/, command)
  assert.doesNotMatch(stderr, /unknown|unrecognized|invalid|must specify/i, command)
}

/** Adds the row that the documents' example keeps. */
const WITH_ALICE = `sqlite3 "\${DATABASE_URL#sqlite:///}" "INSERT INTO audit_logs (tool_name, \\"user\\", action, status) VALUES ('t', 'Alice@example.com', 'invoke', 'success')"`

/** In an empty folder, on a database with a signed receipt, an export of it and the keys of docs/receipts.md. */
async function amongReceipts(command: string): Promise<void> {
  await using fresh = await freshSqliteFile()
  const shim = join(fresh.folder, 'mcp-gateway-maintenance')
  await writeFile(shim, `#!/bin/sh\nexec sh '${CHECKOUT}tools/node24/run' '${CHECKOUT}bin/mcp-gateway-maintenance.js' "$@"\n`, {
    mode: 0o755,
  })
  const made = [
    'openssl genpkey -algorithm ed25519 -out receipts.pem',
    'openssl pkey -in receipts.pem -pubout -out receipts.pub.pem',
    'RECEIPTS_KEY_FILE=receipts.pem mcp-gateway-maintenance --run-now',
    'mcp-gateway-maintenance receipts export > receipts.ndjson',
    'head -n 1 receipts.ndjson | jq -r .payload | base64 -d > body',
    `{ printf 'DSSEv1 52 application/vnd.mcp-gateway-maintenance.receipt+json %d ' "$(wc -c < body)"; cat body; } > signed`,
    `head -n 1 receipts.ndjson | jq -r '.signatures[0].sig' | base64 -d > sig`,
    `jq -c '.payload | @base64d | fromjson' receipts.ndjson > receipts.json`,
  ]
  const digest = `$(mcp-gateway-maintenance receipts verify | sed -n 's/.*digest //p')`
  const env = packagingEnvironment()
  await succeeds(`set -e; ${made.join('; ')}; ${command.replace('SHA256', digest)}`, {
    cwd: fresh.folder,
    env: { ...env, PATH: `${fresh.folder}:${env['PATH']}`, DATABASE_URL: `sqlite:///${fresh.file}` },
  })
}

const OF_RECEIPTS =
  /^mcp-gateway-maintenance receipts |^openssl (?:genpkey|pkey|pkeyutl) |receipts\.(?:nd)?json$|receipts\.ndjson| > signed$|^printf '%s' '\{"user":.+ \| sha256sum$/

const RULES: readonly Rule[] = [
  {
    like: OF_RECEIPTS,
    async check(command) {
      if (['jq', 'openssl'].every((program) => missing(program) === undefined)) await amongReceipts(command)
    },
  },
  // npm's banner would precede the JSON.
  {
    like: /^npm start --(?! status --check| compact | hold | partition | subject )(?!.* --json\b)(?: (.+))?$/,
    check: (command) => onSqlite(command),
  },
  { like: /^npm start -- hold (place .+|list)$/, check: (command) => onSqlite(`npm start -- migrate && ${WITH_ALICE} && ${command}`) },
  {
    like: /^npm start -- hold (?:show|release) (\S+).*$/,
    check: (command, [, name = '']) =>
      onSqlite(`npm start -- migrate && npm start -- hold place ${name} --everything --even-if-none --reason r && ${command}`),
  },
  {
    like: /^(npm --silent start -- .+ --json)(?: \| jq .+)?$/,
    async check(command, [, json = '']) {
      await using fresh = await freshSqliteFile()
      const env = { ...packagingEnvironment(), DATABASE_URL: `sqlite:///${fresh.file}` }
      await succeeds('npm start -- --run-now', { env })
      JSON.parse(await succeeds(json, { env }))
      if (missing('jq') === undefined) await succeeds(`set -e; ${command}`, { env })
    },
  },
  {
    like: /^AUDIT_LOGS_RETENTION_RULES='[^']+' npm start -- config$/,
    check: (command) => onSqlite(`${command} | grep 'rules\\[0\\].*AUDIT_LOGS_RETENTION_RULES$'`),
  },
  {
    like: /^npm start -- partition (plan|start|undo)$/,
    async check(command, [, word]) {
      await using fresh = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
      const before = word === 'undo' ? 'npm start -- migrate && npm start -- partition start' : 'npm start -- migrate'
      await succeeds(`${before} && ${command}`, { env: { ...packagingEnvironment(), DATABASE_URL: fresh.url } })
    },
  },
  // The database must be migrated for the check to succeed.
  { like: /^npm start -- status --check$/, check: (command) => onSqlite(`npm start -- migrate && ${command}`) },
  { like: /^npm start -- subject find .+$/, check: (command) => onSqlite(`npm start -- migrate && ${command}`) },
  { like: /^npm start -- compact --(?:dry-run|offline)$/, check: (command) => onSqlite(`npm start -- migrate && ${command}`) },
  {
    like: /^npm start -- (compact --within .+)$/,
    instead: 'it runs only at that time of day',
    check: async (_, [, words = '']) => parsed(words),
  },
  {
    like: /^export (ARCHIVE_\w+=\S+(?: ARCHIVE_\w+=\S+)*)$/,
    async check(_, [, given = '']) {
      const env = Object.fromEntries(given.split(' ').map((each) => each.split('=', 2)))
      const { archive } = await loadSettings({ packageRoot: CHECKOUT, workingDirectory: '/', env, configFile: undefined })
      assert.deepEqual([archive.enabled, archive.location], [true, locationOf('s3://bucket/gateway')])
      assert.deepEqual([archive.s3.region, archive.spool], [env['ARCHIVE_S3_REGION'], env['ARCHIVE_SPOOL']])
    },
  },
  {
    like: /^export DATABASE_URL=(\S+)$/,
    instead: 'it sets the database of the commands that follow',
    check: async (_, [, url = '']) => void parseDatabaseUrl(url),
  },
  {
    like: /^npm ci(?: && npm (?:test|start -- --run-now))?$/,
    instead: CHANGES_CHECKOUT,
    async check(command) {
      const ci = await readFile(`${CHECKOUT}${tests.ci}`, 'utf8')
      assert.match(ci, /^step npm ci$/m)
      assert.ok(!command.endsWith('npm test') || /^step npm test$/m.test(ci))
    },
  },
  {
    like: /^npm test(?: -- (.+))?$|^npm run test:[\w-]+$|^\.ci\/run$/,
    instead: ITSELF,
    async check(command) {
      await filesNamed(command.replace(/\/\*\S*/, '/'))
      scriptsNamed(command)
      await access(`${CHECKOUT}${tests.ci}`)
    },
  },
  {
    like: /^npm run (?:check|format|docs(?::terminal|:shapes)?)$/,
    instead: `${CHANGES_CHECKOUT}; ${tests.ci} runs what they check`,
    check: async (command) => scriptsNamed(command),
  },
  { like: /^npm run bench:failover$/, instead: 'it takes minutes', check: async (command) => scriptsNamed(command) },
  { like: /^npm run bench(?: -- (.+))?$/, instead: 'it takes minutes', check: (_, [, words = '']) => optionsKnown('bench/main.ts', words) },
  {
    like: /^(?:npm ci && )?npm run build && npm pack$/,
    instead: `${CHANGES_CHECKOUT}; ${tests.package} runs it on a copy`,
    async check(command) {
      scriptsNamed(command)
      const text = await readFile(`${CHECKOUT}${tests.package}`, 'utf8')
      assert.match(text, /\['run', 'build'\][^]*\['pack'/)
    },
  },
  {
    // Without --no-install, npx would run any package of that name in the registry.
    like: /^npx --no-install (\S+) (.+)$/,
    instead: `it needs the installed package; ${tests.package} runs it there`,
    async check(_, [, name = '', words = '']) {
      assert.ok(name in bin)
      parsed(words)
      assert.match(await readFile(`${CHECKOUT}${tests.package}`, 'utf8'), /'npx', \['--no-install', /)
    },
  },
  {
    like: /^\/opt\/mcp-gateway-maintenance\/node_modules\/\.bin\/(\S+) (.+)$/,
    instead: `it needs the installed package; ${tests.package} runs it there`,
    async check(_, [, name = '', words = '']) {
      assert.ok(name in bin)
      parsed(words)
    },
  },
  {
    like: /^echo '(\S+)' \| install -m 600 \/dev\/stdin migrate_url$/,
    async check(command, [, url = '']) {
      parseDatabaseUrl(url)
      await using fresh = await freshSqliteFile()
      await succeeds(command, { cwd: fresh.folder })
      assert.equal((await stat(join(fresh.folder, 'migrate_url'))).mode & 0o777, 0o600)
    },
  },
  {
    // In a shell with the settings of a worker that may not migrate.
    like: /^env -u DATABASE_URL DATABASE_URL_FILE=migrate_url MIGRATIONS_ENABLED=true \/opt\/mcp-gateway-maintenance\/node_modules\/\.bin\/(\S+) migrate$/,
    async check(command, [, name = '']) {
      await using fresh = await freshSqliteFile()
      await writeFile(join(fresh.folder, 'migrate_url'), `sqlite:///${fresh.file}\n`)
      const env = { ...packagingEnvironment(), DATABASE_URL: 'sqlite:////nowhere/gateway.db', MIGRATIONS_ENABLED: 'false' }
      const here = command.replace(/\/opt\/\S+/, `${process.execPath} ${CHECKOUT}${bin[name]}`)
      assert.match(await succeeds(here, { cwd: fresh.folder, env }), /"event":"migrations\.current"/)
    },
  },
  { like: /^npm (?:ls|sbom) /, check: async (command) => void (await succeeds(command)) },
  {
    like: /^maintenance\(\) \{ (.+?);? \}$/,
    instead: 'what it stands for is checked, with a command in it',
    async check(_, [, body = '']) {
      for (const part of partsOf(body)) {
        const rule = RULES.find(({ like }) => like.test(part))
        assert.ok(rule !== undefined, part)
        await rule.check(part, rule.like.exec(part)!)
      }
    },
  },
  {
    like: /^maintenance (.+?)(?: \| grep \S+)?$/,
    instead: 'where to run commands is said once',
    check: async (_, [, words = '']) => parsed(words),
  },
  // How psql is called where a container engine is missing, and without it where a cluster is.
  {
    like: /^sql\(\) \{ (docker compose .+); \}$/,
    instead: CONTAINERS,
    async check(_, [, inside = '']) {
      const rule = RULES.find(({ like }) => like.test(inside))
      await rule!.check(inside, rule!.like.exec(inside)!)
    },
  },
  {
    like: /^sql\(\) \{ (?:kubectl run mcp-sql-\$\$ --rm -it --quiet --restart=Never --image=(\S+) -- )?psql "\$\(.+\)" -c "\$1"; \}$/,
    async check(command, [cluster, image]) {
      if (image !== undefined) assert.ok(composeText.includes(` image: ${image}\n`), cluster)
      await using database = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
      const shown = Object.assign(new URL(database.url), { username: 'mcp_maintenance', password: '***' }).href
      const printed = await succeeds(
        `maintenance() { printf 'database.url    %s?sslmode=prefer  DATABASE_URL\\ndatabase.schema  public\\n' '${shown}'; }
        ${command
          .replace(/kubectl run .+ -- psql/, 'psql')
          .replace('mcp_user', 'postgres')
          .replace('psql', 'psql -At')}
        sql "SELECT current_database(), 'x' || 'y'"`,
      )
      assert.equal(printed, `${database.name}|xy\n`)
    },
  },
  {
    like: /^echo '([A-Z_]+)=(.+)' >> \.env$/,
    instead: CONTAINERS,
    async check(_, [, name = '', value = '']) {
      if (name === 'COMPOSE_FILE') for (const file of value.split(':')) await access(`${CHECKOUT}${file}`)
      else assert.ok(composeText.includes(`\${${name}:`) || archiveText.includes(`\${${name}:`), name)
    },
  },
  {
    like: /^(?:\w+=\S+ )?docker compose (.+)$/,
    instead: CONTAINERS,
    async check(command, [, words = '']) {
      const [, name = ''] = /^(\w+)=/.exec(command) ?? []
      assert.ok(name === '' || ENVIRONMENT.has(name) || composeText.includes(`\${${name}:-`), name)
      for (const [, file = ''] of words.matchAll(/-f (\S+)/g)) await access(`${CHECKOUT}${file}`)
      const what = words
        .replaceAll(/-[fv] \S+ /g, '')
        .replaceAll(/-e (\w+)=\S+ /g, (_, given: string) => (assert.ok(ENVIRONMENT.has(given), given), ''))
      const [, service = '', inside = ''] = /^(?:exec(?: -T)?|logs|run --rm) (\S+)(?: (.+))?$/.exec(what) ?? []
      if (service === '') assert.match(what, /^(?:--profile monitoring )?up --build -d$|^up -d maintenance$|^ps --all maintenance$/)
      else assert.ok(service in compose.services, service)
      if (service === 'maintenance' && what.startsWith('run')) parsed(inside)
      if (service === 'postgres') assert.match(inside, /^psql -U mcp_user -d mcp_gateway (?:-c |< deploy\/\S+$)/)
      await filesNamed(command)
    },
  },
  {
    like: /^docker (?:build -t|run -d) (.+)$/,
    instead: `${CONTAINERS}; the Dockerfile is built without one`,
    async check(command) {
      assert.match(command, /mcp-gateway-maintenance(?: \.)?$/)
      await access(`${CHECKOUT}Dockerfile`)
    },
  },
  {
    like: /^kubectl create secret generic (\S+) --from-file=(\w+)=(\S+)$/,
    instead: CLUSTER,
    async check(command, [, secret = '', key = '']) {
      await filesNamed(command)
      const [made] = await kustomize(`${OVERLAYS}${secret.endsWith('-migrate') ? 'migrate-job' : 'deployment'}`)
      assert.ok(templateOf(made!)!.spec.volumes.some((volume) => volume.secret?.secretName === secret))
      assert.ok(workerOf(made!).env!.some(({ value }) => value === `/run/secrets/mcp-gateway-maintenance/${key}`))
      await understoodByKubectl(command)
    },
  },
  {
    like: /^kubectl (?:apply -k|replace --force -k|kustomize) (deploy\/kubernetes\/\S+)$/,
    instead: `${CLUSTER}; test/shipping/kubernetes.test.ts checks what kustomize makes of each folder`,
    async check(command, [, folder = '']) {
      assert.ok((await kustomize(`${CHECKOUT}${folder}`)).length > 0)
      if (!command.startsWith('kubectl kustomize')) await understoodByKubectl(command)
    },
  },
  {
    like: /^kubectl create secret generic (\S+) --namespace \S+ --from-env-file=\S+$/,
    instead: `${CLUSTER}, and there are no keys`,
    async check(command, [, secret]) {
      for (const each of await kustomize(EXAMPLE_BUCKET))
        if (templateOf(each) !== undefined)
          assert.ok(workerOf(each).envFrom!.some((from) => isDeepStrictEqual(from, { secretRef: { name: secret, optional: true } })))
      await using folder = await freshFolder()
      const file = join(folder.path, 'archive-keys.env')
      await writeFile(file, 'AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n')
      await understoodByKubectl(command.replace(/(?<=--from-env-file=)\S+$/, file))
    },
  },
  {
    like: /^aws eks create-pod-identity-association --cluster-name CLUSTER --namespace (\S+) --service-account (\S+) --role-arn (\S+)$/,
    instead: 'there is no cloud here',
    async check(_, [, namespace, name, role]) {
      const account = (await kustomize(EXAMPLE_BUCKET)).find(({ kind }) => kind === 'ServiceAccount')!
      assert.deepEqual(account.metadata, { name, namespace, annotations: { 'eks.amazonaws.com/role-arn': role } })
    },
  },
  {
    like: /^kubectl (?:wait|logs|create job) .*?(?:job|--from=cronjob)\/(\S+?)(?: (\S+))?$/,
    instead: CLUSTER,
    async check(command, [, name = '', made]) {
      const ours = await Promise.all(['overlays/migrate-job', 'overlays/cronjob', 'archive-verify', 'components/doctor'].map(ofKubernetes))
      const names = ours.flat().map(({ metadata }) => metadata.name)
      assert.ok(names.includes(name.replace(/-by-hand$/, '')), name)
      assert.ok(made === undefined || made === `${name}-by-hand`, made)
      await understoodByKubectl(command)
    },
  },
  {
    like: /^kubectl (?:get pods -l (\S+)|describe cronjob (\S+))$/,
    instead: CLUSTER,
    async check(command, [, label, name]) {
      const ours = (
        await Promise.all(['overlays/cronjob', 'overlays/deployment', 'archive-verify', 'components/doctor'].map(ofKubernetes))
      ).flat()
      if (name !== undefined)
        assert.ok(
          ours.some(({ kind, metadata }) => kind === 'CronJob' && metadata.name === name),
          name,
        )
      else for (const each of ours) assert.ok(JSON.stringify(each).includes(JSON.stringify(label).replace('=', '":"')), label)
      await understoodByKubectl(command)
    },
  },
  // The parts of a command that makes one more Job from the CronJob, with other arguments.
  {
    like: /^kubectl create job --from=cronjob\/(\S+) (\S+)-by-hand --dry-run=client -o json$/,
    instead: CLUSTER,
    check: async (_, [, cronjob, name]) => assert.equal(name, cronjob),
  },
  {
    like: /^jq (?!.* receipts\.(?:nd)?json\b)/,
    async check(command) {
      if (missing('jq') !== undefined) return
      const job = { spec: { backoffLimit: 2, template: { spec: { containers: [{ name: 'maintenance', args: ['--run-now'] }] } } } }
      const words = ['--run-now', '--job', 'purge-audit-logs', '--accept-clock']
      const changed = await succeeds(`echo '${JSON.stringify(job)}' | ${command.replace(/status$/, words.join(' '))}`)
      const container = { name: 'maintenance', args: words }
      assert.deepEqual(JSON.parse(changed), { spec: { backoffLimit: 0, template: { spec: { containers: [container] } } } })
    },
  },
  // What the Deployment's pod becomes as a Job of its own.
  {
    like: /^kubectl get deploy (\S+) -o json \| (jq .+?) \| kubectl create -f -$/,
    instead: CLUSTER,
    async check(_, [, name = '', filter = '']) {
      if (missing('jq') !== undefined) return
      const worker = (await kustomize(`${OVERLAYS}deployment`)).find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name === name,
      )
      const job: Resource = JSON.parse(
        await succeeds(`printf %s "$DEPLOYMENT" | ${filter}`, { env: { ...process.env, DEPLOYMENT: JSON.stringify(worker) } }),
      )
      const { startupProbe, livenessProbe, ...container } = workerOf(worker!)
      assert.ok(startupProbe !== undefined && livenessProbe !== undefined)
      assert.deepEqual(templateOf(job)!.spec, {
        ...templateOf(worker!)!.spec,
        restartPolicy: 'Never',
        containers: [{ ...container, args: ['--run-now', '--job', 'JOB'] }],
      })
      assert.equal(job.kind, 'Job')
    },
  },
  {
    like: /^kubectl rollout restart deploy\/(\S+)$/,
    instead: CLUSTER,
    async check(command, [, name]) {
      assert.ok((await kustomize(`${OVERLAYS}deployment`)).some(({ metadata }) => metadata.name === name))
      await understoodByKubectl(command)
    },
  },
  {
    like: /^kubectl set resources (deploy|cronjob)\/(\S+) -c (\S+) --limits=memory=\d+Mi$/,
    instead: CLUSTER,
    async check(command, [, kind = '', name, container]) {
      const [worker] = await kustomize(`${OVERLAYS}${kind === 'deploy' ? 'deployment' : kind}`)
      assert.deepEqual([worker!.metadata.name, workerOf(worker!).name], [name, container])
      await understoodByKubectl(command)
    },
  },
  {
    like: /^kubectl patch deploy\/(\S+) -p '(\{.+\})'$/,
    instead: CLUSTER,
    async check(command, [, name, patch = '']) {
      const gateway = (await kustomize(`${OVERLAYS}sidecar`)).find(({ metadata }) => metadata.name === name)
      const worker = workerOf(gateway!)
      const { spec } = JSON.parse(patch)
      assert.deepEqual(Object.keys(spec.template.spec), ['initContainers'])
      const [patched] = spec.template.spec.initContainers
      assert.deepEqual([patched.name, Object.keys(patched.resources.limits)], [worker.name, ['memory']])
      await understoodByKubectl(command)
    },
  },
  // The parts of a command that makes one more Job from the one that migrates.
  {
    like: /^kubectl create -k (deploy\/kubernetes\/\S+) --dry-run=client -o json$/,
    instead: CLUSTER,
    async check(_, [, folder = '']) {
      // As a single object, whose arguments can be replaced.
      assert.deepEqual(
        (await kustomize(`${CHECKOUT}${folder}`)).map(({ kind }) => kind),
        ['Job'],
      )
    },
  },
  {
    like: /^kubectl (?:create -f -|replace --force -f -|delete job mcp-gateway-maintenance(?:-archive-verify|-doctor)?-by-hand)$/,
    instead: CLUSTER,
    check: async () => {},
  },
  {
    like: /^kubectl exec deploy\/(\S+)(?: -c (\S+))? -- node \/app\/(\S+) (.+)$/,
    instead: CLUSTER,
    async check(command, [, name = '', container, program = '', words = '']) {
      const ours = await Promise.all(['deployment', 'sidecar'].map((overlay) => kustomize(`${OVERLAYS}${overlay}`)))
      const found = ours.flat().find(({ metadata }) => metadata.name === name)
      const { containers } = templateOf(found!)!.spec
      // If no container is named, the first one is used.
      assert.equal(container ?? containers[0]!.name, workerOf(found!).name)
      await access(`${CHECKOUT}${program}`)
      parsed(words)
      await understoodByKubectl(command)
    },
  },
  {
    like: /^sudo systemd-run --unit=(\S+) .+ -E DATABASE_URL_FILE=\/run\/credentials\/\1\.service\/\S+ (?:env MIGRATIONS_ENABLED=true )?(\/opt\/\S+\/\.bin\/(\S+)) (.+)$/,
    instead: SYSTEMD,
    async check(command, [, , program = '', name = '', words = '']) {
      assert.ok(name in bin)
      parsed(words)
      // Migrations have a URL of their own.
      const settings = command.replace('migrate_url', 'database_url').matchAll(/-p (\S+)|-E (MAINTENANCE_CONFIG=\S+)/g)
      const unit = await readFile(
        `${CHECKOUT}deploy/systemd/${name}${command.includes('MAINTENANCE_CONFIG') ? '-once' : ''}.service`,
        'utf8',
      )
      for (const [, property, variable] of settings) {
        const given = property?.replace('=-', '=') ?? `Environment=${variable}`
        assert.ok(unit.replaceAll('=-', '=').includes(given), given)
      }
      assert.ok(unit.includes(`ExecStart=${program}`))
    },
  },
  {
    like: /^(?:echo '.+' \| )?sudo (?:npm|install|systemctl|tee) |^journalctl |^systemctl |^npm install --prefix \/opt\//,
    instead: SYSTEMD,
    async check(command) {
      await filesNamed(command)
      const [, unit] = /(?:edit|--now|-u|start|status|list-timers|set-property) (\S+)(?: MemoryMax=\d+M)?$/.exec(command) ?? []
      if (unit !== undefined) await access(`${CHECKOUT}deploy/systemd/${unit.includes('.') ? unit : `${unit}.service`}`)
      const [, setting] = /echo '([A-Z_]+)=.*' \| sudo tee -a \/etc\/mcp-gateway-maintenance\/environment$/.exec(command) ?? []
      if (setting !== undefined) return assert.ok(ENVIRONMENT.has(setting), setting)
      const [, url] = /echo '(.+)'/.exec(command) ?? []
      if (url !== undefined) parseDatabaseUrl(url)
    },
  },
  {
    like: /^systemd-analyze (?:verify|security)/,
    instead: 'it needs the installed program; test/shipping/systemd.test.ts runs it on copies',
    check: async (command) => assert.equal((await filesNamed(command)).length, 1),
  },
  { like: /^promtool /, check: async (command) => void (await succeeds(command)) },
  {
    like: /^sqlite3 -bail secure_mcp_gateway\.db < (\S+)$/,
    async check(command, [, file = '']) {
      await using fresh = await freshSqliteFile('secure_mcp_gateway.db')
      await succeeds(command.replace(file, `${CHECKOUT}${file}`), { cwd: fresh.folder })
    },
  },
  {
    like: /^psql .*-f migrations\//,
    async check(command) {
      await using database = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
      await succeeds(onServer(command, database).replace('//mcp_user@', '//postgres@'))
    },
  },
]

/** Run in this order, on one database and its archive. */
const ARCHIVE = /^(?:ARCHIVE_ENABLED=true )?npm (?:--silent )?start -- (?:--run-now --job purge-audit-logs$|archive )|^(?:find|duckdb) /

/** Run in this order, in one shell for each page: its variables and functions are used further down. */
const SCRIPT = /^sql "|^[A-Z]+=\S+ [A-Z]+=|^restore\b/

/** Run in this order, on one database: create the migrating role, migrate, create the purging role, purge, create the holding role, list holds. */
const LEAST_PRIVILEGE = /^(?:psql (?:.*-f deploy\/postgres\/|-c '\\password )|DATABASE_URL='postgresql:)/
/** The password is asked for twice. Without a terminal, psql reads it from its standard input. */
const PASSWORD = 'PASSWORD\\nPASSWORD\\n'

/** JOB stands for the name of one. */
function parsed(words: string): void {
  assert.doesNotThrow(() => parseCommand(words.replace(/\bJOB$/, 'purge-sessions').split(' ')), words)
}

async function optionsKnown(file: string, words: string): Promise<void> {
  const { stdout } = await run(process.execPath, [file, '--help'], { cwd: CHECKOUT })
  for (const [option] of words.matchAll(/--[\w-]+/g)) assert.ok(stdout.includes(option), option)
}

for (const { file, commands } of documents) {
  describe(`commands of ${file}`, () => {
    for (const command of new Set(commands.filter((each) => ![LEAST_PRIVILEGE, ARCHIVE, SCRIPT].some((like) => like.test(each))))) {
      const rules = RULES.filter(({ like }) => like.test(command))
      const [rule] = rules
      const how = rule?.instead === undefined ? 'is run' : `is compared: ${rule.instead}`
      const [program = ''] = command.split(' ')
      const skip = rule?.instead === undefined && ['psql', 'sqlite3', 'promtool'].includes(program) && missing(program)
      it(`"${command}" ${how}`, { skip: skip === undefined ? false : skip }, async () => {
        assert.equal(rules.length, 1, 'exactly one rule matches the command')
        await rule!.check(command, rule!.like.exec(command)!)
      })
    }
  })
}

it('the commands for least privilege are run, one after the other', { skip: missing('psql') ?? false }, async () => {
  // What is shown twice is run once.
  const commands = [...new Set(documents.flatMap((document) => document.commands).filter((command) => LEAST_PRIVILEGE.test(command)))]
  assert.equal(commands.length, 9)
  const roles = ['mcp_maintenance', 'mcp_maintenance_hold', 'mcp_maintenance_migrate', 'mcp_user']
  await using database = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
  await database.admin.query('CREATE ROLE mcp_user LOGIN')
  try {
    for (const command of commands) {
      const asks = command.includes('password ')
      await succeeds(asks ? `printf '${PASSWORD}' | setsid -w ${onServer(command, database)}` : onServer(command, database))
    }
    const { rows: withPassword } = await database.admin.query(
      "SELECT rolname FROM pg_authid WHERE rolname LIKE 'mcp\\_maintenance%' AND rolpassword IS NOT NULL",
    )
    assert.equal(withPassword.length, 3)
    const { rows } = await database.admin.query('SELECT DISTINCT worker FROM maintenance_runs')
    assert.equal(rows.length, 1)
  } finally {
    for (const role of roles) await database.admin.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
  }
})

/** Those of one page, in its order. */
function scriptOf(page: string): readonly string[] {
  return documents.find(({ file }) => file === page)!.commands.filter((command) => SCRIPT.test(command))
}

/** The statements that these commands hand to `sql`, with their variables filled in. */
async function statementsOf(commands: readonly string[]): Promise<readonly string[]> {
  const printed = await succeeds(['sql() { printf \'%s\\n\' "$1"; }', ...commands].join('\n'))
  return printed.trimEnd().split('\n')
}

it('the queries about foreign keys are run, on both engines, and those that change a key on PostgreSQL', async () => {
  const commands = scriptOf('docs/foreign-keys.md')
  const [begin, change] = [
    commands.findLastIndex((each) => each.startsWith('TABLE=')),
    commands.findIndex((each) => each.includes('ALTER')),
  ]
  assert.ok(begin > 0 && change > begin)
  const [ours, onSqliteFile] = [[...commands.slice(0, begin), ...commands.slice(change)], commands.slice(begin, change)]

  await using postgres = await freshPostgres(POSTGRES_MAJORS.at(-1)!)
  await postgres.admin
    .query(`CREATE TABLE sessions (id bigint PRIMARY KEY, expires_at timestamp); INSERT INTO sessions VALUES (1, '2020-01-01'), (2, '2999-01-01');
    CREATE TABLE session_events (session_id bigint REFERENCES sessions (id)); INSERT INTO session_events VALUES (1), (1), (2)`)
  const answers: unknown[][] = []
  for (const statement of await statementsOf(ours)) {
    const { rows } = await postgres.admin.query({ text: statement, rowMode: 'array' })
    answers.push(...rows)
  }
  assert.deepEqual(answers, [
    ['session_events', 'FOREIGN KEY (session_id) REFERENCES sessions(id)', 'session_events_session_id_fkey'],
    ['2'],
    ['1'],
    ['1'],
  ])
  await postgres.admin.query('DELETE FROM sessions WHERE id = 1')
  const { rows } = await postgres.admin.query('SELECT session_id FROM session_events ORDER BY 1')
  assert.deepEqual(rows, [{ session_id: '2' }, { session_id: null }, { session_id: null }])

  await using fresh = await freshSqliteFile()
  using file = Object.assign(new BetterSqlite3(fresh.file), { [Symbol.dispose]: () => file.close() })
  file.exec(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TEXT); INSERT INTO sessions VALUES (1, '2020-01-01 00:00:00'), (2, '2999-01-01 00:00:00');
    CREATE TABLE session_events (session_id INTEGER REFERENCES sessions (id)); INSERT INTO session_events VALUES (1), (1), (2)`)
  assert.deepEqual(
    (await statementsOf(onSqliteFile)).flatMap((statement) => file.prepare(statement).raw().all()),
    [['session_events', 'session_id', 'id', 'NO ACTION'], [2], [1], [1]],
  )
})

it('the commands that restore a file of the archive are run, and so are the queries about locks and about rows in DEFAULT', async () => {
  const commands = scriptOf('docs/troubleshooting.md')
  const functions = commands.filter((each) => each.startsWith('restore()'))
  const queries = commands.filter((each) => each.startsWith('sql '))
  const [file] = commands.flatMap((each) => /^restore (\S+)$/.exec(each)?.[1] ?? [])
  assert.deepEqual([functions.length, queries.length, file !== undefined], [2, 2, true])
  for (const line of commands.filter((each) => each.startsWith('FROM=')))
    assert.match(line, /^FROM=\S+ (?:TO=\S+ OWNER=\S+|POD=deploy\/\S+)$/)
  for (const [index, restore] of functions.entries()) {
    await using backup = await freshSqliteFile()
    const [from, to] = [join(backup.folder, 'backup'), join(backup.folder, 'archive')]
    // The host's command with this user in place of root, and the pod's without the pod.
    const here = restore
      .replaceAll('sudo ', '')
      .replace(/kubectl exec -i \$POD -c maintenance -- /, '')
      .replace('cd /archive', 'cd "$TO"')
    const shell = `set -e; export TO=${to}; FROM=${from} OWNER=$(id -u); mkdir $TO; mkdir -p $FROM/${dirname(file!)}; echo good > $FROM/${file}; ${here}`
    await succeeds(
      `${shell}; restore ${file}; echo bad > $TO/${file}; restore ${file}`
        .replace('-g $OWNER', '-g $(id -g)')
        .replace('-g $OWNER', '-g $(id -g)'),
    )
    assert.equal(await readFile(join(to, file!), 'utf8'), 'good\n')
    assert.equal(await readFile(join(to, `${file}${index === 0 ? '.~1~' : '.damaged'}`), 'utf8'), 'bad\n')
    assert.equal((await stat(join(to, file!))).mode & 0o777, 0o600)
    assert.equal((await stat(dirname(join(to, file!)))).mode & 0o777, 0o700)
  }
  await using database = await postgresDatabase(POSTGRES_MAJORS.at(-1)!)
  await migrated(database.url, await readMigrationFiles(CHECKOUT))
  await partitioned(database)
  for (const statement of await statementsOf(queries)) await database.sql(statement)
})

it('the commands of the archive are run, one after the other', async (t) => {
  const commands = documents.flatMap((document) => document.commands).filter((command) => ARCHIVE.test(command))
  assert.ok(commands.length > 6)
  await using fresh = await freshSqliteFile()
  const env = { ...packagingEnvironment(), DATABASE_URL: `sqlite:///${fresh.file}`, ARCHIVE_DIRECTORY: join(fresh.folder, 'archive') }
  await succeeds('npm start -- migrate', { env })
  const database = new BetterSqlite3(fresh.file)
  database.exec(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp)
    SELECT 't', 'u', 'invoke', 'success', datetime('now', -value || ' days') FROM json_each('[1, 2, 91, 92, 93]')`)
  await using server = await S3Server.start({ buckets: { bucket: {} } })
  const bucket = {
    ...server.env,
    ARCHIVE_S3_ENDPOINT: server.url,
    ARCHIVE_S3_REGION: server.region,
    ARCHIVE_SPOOL: join(fresh.folder, 'spool'),
  }
  // Nothing can be copied before something was archived; and once it was moved it is not where these settings say.
  const turns = Map.groupBy(new Set(commands), (command) =>
    command.endsWith(' --switch') ? 'last' : command.includes(' archive copy ') ? 'then' : 'first',
  )
  assert.equal(turns.get('last')?.length, 1)
  for (const command of [...turns.get('first')!, ...turns.get('then')!, ...turns.get('last')!]) {
    const [program = ''] = command.split(' ')
    const without =
      program === 'duckdb'
        ? 'test/archive/readers.test.ts runs its query'
        : program === 'find'
          ? (missing('zstdcat') ?? missing('jq'))
          : undefined
    await t.test(`"${command}"`, { skip: without ?? false }, async () => {
      const place = command.includes(' archive copy ') ? bucket : {}
      const printed = await succeeds(command, { env: { ...env, ...place }, ...(program === 'find' ? { cwd: fresh.folder } : {}) })
      if (command.endsWith(' --json')) JSON.parse(printed)
    })
  }
  assert.deepEqual(database.prepare('SELECT "rows", verified FROM maintenance_archives').get(), { rows: 3, verified: 'sound' })
  assert.ok(server.bucket('bucket').keys().length >= 6)
  database.close()
})

it('each rule matches a command that some document shows', () => {
  const every = documents.flatMap(({ commands }) =>
    commands.flatMap((each) => [each, ...partsOf(/^maintenance\(\) \{ (.+?);? \}$/.exec(each)?.[1] ?? each)]),
  )
  assert.ok(every.length > 40)
  for (const { like } of RULES)
    assert.ok(
      every.some((command) => like.test(command)),
      String(like),
    )
})

for (const { file, prose } of documents) {
  it(`the commands within the sentences of ${file} exist`, () => {
    for (const [, command = ''] of prose.matchAll(/`([^`\n]+)`/g)) {
      const [, words] =
        /^(?:npm (?:--silent )?start --|(?:npx --no-install )?mcp-gateway-maintenance|maintenance) (.+)$/.exec(command) ?? []
      if (words !== undefined && !words.includes('…')) parsed(words)
      scriptsNamed(command)
      assert.doesNotMatch(command, /^npx (?!--no-install)/)
      assert.doesNotMatch(command, /^npm start -- .*--json/, "npm's banner would precede the JSON")
    }
  })
}
