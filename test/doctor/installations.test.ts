import assert from 'node:assert/strict'
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { freshFolder } from '../archive/support.ts'
import { CHECKOUT } from '../shipping/checkout.ts'
import { workerOf } from '../shipping/kubernetes.ts'
import { kustomize } from '../shipping/kustomize.ts'
import { command, type Ended } from '../support/command.ts'
import { ENGINES, sqliteDatabase } from '../support/engines.ts'

type Environment = Readonly<Record<string, string>>

/** As the worker of each shipped installation is started, by what the shipped files say. */
const SHIPPED: readonly (readonly [name: string, environment: Environment])[] = [
  ['compose.yaml', await composed('compose.yaml')],
  ['compose.yaml with its archive', { ...(await composed('compose.yaml')), ...(await composed('deploy/compose/archive.yaml')) }],
  ['the systemd service', await ofUnit('mcp-gateway-maintenance.service')],
  ['the nightly timer of systemd', await ofUnit('mcp-gateway-maintenance-once.service')],
  ['the Kubernetes deployment', await ofPod('overlays/deployment', 'Deployment')],
  ['the Kubernetes sidecar', await ofPod('overlays/sidecar', 'Deployment')],
  ['the Kubernetes sidecar of a SQLite file', await ofPod('overlays/sqlite-sidecar', 'Deployment')],
  ['the Kubernetes CronJob', await ofPod('overlays/cronjob', 'CronJob')],
  ['the Kubernetes deployment with its archive', await ofPod('overlays/deployment', 'Deployment', 'components/archive')],
]

async function composed(file: string): Promise<Environment> {
  const { services } = parse(await readFile(`${CHECKOUT}${file}`, 'utf8')) as { services: { maintenance: { environment: Environment } } }
  // What Compose makes of `${NAME:-value}` where nothing is set.
  return Object.fromEntries(
    Object.entries(services.maintenance.environment).map(([name, value]) => [name, value.replace(/^\$\{\w+:-(.*)\}$/, '$1')]),
  )
}

async function ofUnit(name: string): Promise<Environment> {
  const text = await readFile(`${CHECKOUT}deploy/systemd/${name}`, 'utf8')
  return Object.fromEntries([...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]))
}

async function ofPod(way: string, kind: string, addition?: string): Promise<Environment> {
  const plain = await kustomize(`${CHECKOUT}deploy/kubernetes/${way}`)
  const resources = addition === undefined ? plain : await kustomize(`${CHECKOUT}deploy/kubernetes/${addition}`, plain)
  const found = resources.find((each) => each.kind === kind)
  // The address of the pod stands where there is no value.
  return Object.fromEntries((workerOf(found!).env ?? []).map(({ name, value }) => [name, value ?? '127.0.0.1']))
}

/** The user of the image and of the examples, where the tests may be somebody else. */
const UID = process.getuid?.() === 0 ? 1_000 : undefined

/** The same with the test's own database and folders in place of the shipped paths. */
async function placed(shipped: Environment, database: string, folder: string): Promise<Environment> {
  const given: Record<string, string> = { ...shipped }
  assert.equal('DATABASE_URL' in given, !('DATABASE_URL_FILE' in given))
  if ('DATABASE_URL' in given) given['DATABASE_URL'] = database
  else {
    await writeFile(`${folder}/database_url`, `${database}\n`)
    given['DATABASE_URL_FILE'] = `${folder}/database_url`
  }
  const config = given['MAINTENANCE_CONFIG']
  if (config !== undefined) given['MAINTENANCE_CONFIG'] = `${CHECKOUT}${config.replace(/^.*(config\/\w+\.yaml)$/, '$1')}`
  if (given['ARCHIVE_ENABLED'] === 'true') {
    await mkdir(`${folder}/archive`, { mode: 0o700 })
    if (UID !== undefined) await chown(`${folder}/archive`, UID, UID)
    given['ARCHIVE_DIRECTORY'] = `${folder}/archive`
  }
  return given
}

function mustBeSound(ended: Ended): void {
  assert.equal(ended.code, 0, ended.stdout + ended.stderr)
  const { sound, findings } = JSON.parse(ended.stdout) as { sound: boolean; findings: { level: string }[] }
  assert.ok(sound && findings.every(({ level }) => level === 'advice'), ended.stdout)
}

describe('doctor on what is shipped', () => {
  for (const [name, shipped] of SHIPPED)
    it(`${name}: ends with 0 before the first run, which migrates, and after it`, async () => {
      const isFile = shipped['DATABASE_URL']?.startsWith('sqlite:') === true
      await using outside = isFile ? await sqliteDatabase() : await ENGINES.at(-1)!.fresh()
      await using folder = await freshFolder()
      await chmod(folder.path, 0o755)
      if ('folder' in outside && typeof outside.folder === 'string' && UID !== undefined) await chown(outside.folder, UID, UID)
      const env = await placed(shipped, outside.url, folder.path)
      const asShipped = { env, cwd: folder.path, ...(UID === undefined ? {} : { uid: UID }) }
      const doctor = (): Promise<Ended> => command(['doctor', '--json'], asShipped)
      mustBeSound(await doctor())
      const run = await command(['--run-now'], asShipped)
      assert.equal(run.code, 0, run.stdout)
      mustBeSound(await doctor())
    })
})
