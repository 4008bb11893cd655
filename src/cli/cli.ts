import { columnsOf } from '../observe/width.ts'
import type { Host } from '../program.ts'
import { listenForSignals } from '../shutdown.ts'
import { WORKER } from './commands.ts'
import { parseCommand } from './parse.ts'

/** Does what the command line says and returns the exit code. Rejects with usage and configuration errors only. */
export async function run(host: Host): Promise<number> {
  const parsed = parseCommand(host.arguments)
  switch (parsed.kind) {
    case 'help':
      host.print((await import('./help.ts')).helpText(parsed.commands, columnsOf(host.terminal, 'output')))
      return 0
    case 'version':
      host.print(`${host.version}\n`)
      return 0
    case 'command': {
      using shutdown = listenForSignals()
      const { loadSettings } = await import('../config/load.ts')
      const settings = await loadSettings({ ...host, configFile: parsed.configFile, archivePlace: parsed.call.archivePlace })
      const code = await parsed.call.run({ host, settings, shutdown })
      // A worker that a signal stops has done its work; any other command has not.
      return parsed.command === WORKER ? code : (shutdown.exitCode ?? code)
    }
  }
}
