/** Brings what the tests need and a new machine lacks: browsers, ffmpeg and kcat by apt, Kafka by Maven. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

const codecs = '/usr/lib/x86_64-linux-gnu/gstreamer-1.0'
/** Program or file, and the Debian package that has it. */
const programs = [
  ['chromium', 'chromium'],
  ['firefox-esr', 'firefox-esr'],
  ['WebKitWebDriver', 'webkit2gtk-driver'],
  ['Xvfb', 'xvfb'],
  // WebKit's codecs: VP8 and VP9, Opus, H.264.
  [`${codecs}/libgstvpx.so`, 'gstreamer1.0-plugins-good'],
  [`${codecs}/libgstopusparse.so`, 'gstreamer1.0-plugins-bad'],
  [`${codecs}/libgstlibav.so`, 'gstreamer1.0-libav'],
  ['ffmpeg', 'ffmpeg'],
  ['kcat', 'kcat'],
  ['openssl', 'openssl'],
] as const

const has = (program: string): boolean =>
  program.startsWith('/')
    ? existsSync(program)
    : spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

function must(command: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) fail(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`)
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

export function prepare(): void {
  const missing = programs.filter(([program]) => !has(program)).map(([, name]) => name)
  if (missing.length > 0) {
    if (process.getuid?.() !== 0 || !has('apt-get'))
      fail(`The tests need ${missing.join(', ')}. Install them and run make test again.`)
    process.stdout.write(`Installing ${missing.join(', ')} …\n`)
    must('apt-get', ['update'])
    must('apt-get', ['install', '-y', '--no-install-recommends', ...missing])
  }
  preparePython()
  if (process.env.TEST_BOOTSTRAP_SERVERS !== undefined || existsSync(join(root, 'tools', 'kafka', 'libs')))
    return
  for (const program of ['java', 'mvn']) {
    if (!has(program))
      fail(
        `The tests start a real Kafka, which needs ${program} (Java 17 and Maven). Install it, or name a cluster in TEST_BOOTSTRAP_SERVERS.`,
      )
  }
  process.stdout.write('Installing Apache Kafka …\n')
  must('mvn', [
    '-q',
    '-B',
    '-f',
    join(root, 'tools', 'kafka', 'pom.xml'),
    'dependency:copy-dependencies',
    '-DoutputDirectory=libs',
  ])
}

/** A second Kafka client, in a folder of its own. */
function preparePython(): void {
  const tools = join(root, 'tools', 'python')
  const requirements = join(tools, 'requirements.txt')
  const wanted = readFileSync(requirements, 'utf8')
  const ready = join(tools, 'venv', 'ready')
  if (existsSync(ready) && readFileSync(ready, 'utf8') === wanted) return
  if (!has('python3'))
    fail('The tests read a broadcast with a second Kafka client, which needs python3. Install it.')
  process.stdout.write('Installing a Kafka client for Python …\n')
  must('python3', ['-m', 'venv', join(tools, 'venv')])
  must(join(tools, 'venv', 'bin', 'pip'), ['install', '-q', '-r', requirements])
  writeFileSync(ready, wanted)
}
