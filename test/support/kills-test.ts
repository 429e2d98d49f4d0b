/** Gateways that die, stop and are cut off, as tests, short and long. */
import { it, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { seededRandom } from './fight.ts'
import { type KafkaCluster, startKafka } from './kafka.ts'
import { freePort } from './kafka-process.ts'
import { Audience, Fleet, freezeWords } from './kills.ts'
import { PageState } from './pages.ts'
import { TcpProxy } from './tcp-proxy.ts'

const watchers = 20

async function withFleet(
  test: TestContext,
  use: (fleet: Fleet, audience: Audience) => Promise<void>,
): Promise<void> {
  await using kafka: KafkaCluster = await startKafka({ brokers: 3 })
  await using fleet = await Fleet.start(3, kafka.bootstrapServers, {
    REPLICATION_FACTOR: '3',
    LOG_LEVEL: 'info',
  })
  try {
    await using audience = await Audience.open(fleet.at(0).http, 'camera')
    for (const i of [1, 2]) await audience.addPage(fleet.at(i).http)
    for (let i = 0; i < watchers; i++) await audience.addWatchers(fleet.at(i % 3).http, 1)
    await fleet.settled('camera', audience.viewers)
    await use(fleet, audience)
    test.diagnostic(await audience.check(fleet.at(1).http))
  } catch (error) {
    process.stderr.write(
      fleet.gateways.map(({ port, output }) => `${port}:\n${output().slice(-4000)}\n`).join(''),
    )
    throw error
  }
}

/** @param rounds how many gateways are killed */
export function testKills(rounds: number): void {
  it('a gateway that is killed costs no frame, be the publisher there or viewers', {
    timeout: 120_000 + rounds * 30_000,
  }, async test => {
    const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31))
    test.diagnostic(`SEED=${seed}`)
    const random = seededRandom(seed)
    await withFleet(test, async (fleet, audience) => {
      const freezes: number[] = []
      for (let i = 0; i < rounds; i++) {
        await pause(random() * 2000)
        await audience.freezes()
        await fleet.replace(Math.floor(random() * 3), 'SIGKILL')
        await audience.caughtUp()
        freezes.push(Math.max(...(await audience.freezes())))
        await fleet.settled('camera', audience.viewers)
      }
      test.diagnostic(
        `${rounds} gateways killed, ${audience.viewers} viewers; the worst one’s ${freezeWords(freezes)}`,
      )
    })
  })
}

/** @param rounds how often all three are replaced */
export function testRollingRestart(rounds: number): void {
  it('gateways that stop in order, one after the other, cost no frame', {
    timeout: 120_000 + rounds * 90_000,
  }, async test => {
    await withFleet(test, async (fleet, audience) => {
      const freezes: number[] = []
      for (let i = 0; i < rounds * 3; i++) {
        await audience.freezes()
        await fleet.replace(i % 3, 'SIGTERM')
        await audience.caughtUp()
        freezes.push(Math.max(...(await audience.freezes())))
        await fleet.settled('camera', audience.viewers)
      }
      test.diagnostic(
        `${freezes.length} gateways stopped, ${audience.viewers} viewers; the worst one’s ${freezeWords(freezes)}`,
      )
    })
  })
}

/** @param rounds how often the publisher's page is cut from the network, for five seconds each time */
export function testCuts(rounds: number): void {
  it('a publisher’s page that is cut from the network loses nothing', {
    timeout: 120_000 + rounds * 30_000,
  }, async test => {
    await using kafka = await startKafka()
    await using fleet = await Fleet.start(1, kafka.bootstrapServers)
    await using proxy = await TcpProxy.listen(await freePort(), fleet.at(0).port)
    await using audience = await Audience.open(`http://${proxy.address}`, 'camera')
    await audience.addPage(fleet.at(0).http)
    await audience.addWatchers(fleet.at(0).http, 2)
    const freezes: number[] = []
    for (let i = 0; i < rounds; i++) {
      await pause(1000)
      await audience.freezes()
      proxy.isDown = true
      proxy.stall()
      await pause(5000)
      proxy.isDown = false
      await new PageState(audience.studio).until(
        'on air again',
        ({ publisher }) => publisher?.state === 'live',
      )
      await audience.caughtUp()
      freezes.push(Math.max(...(await audience.freezes())))
    }
    test.diagnostic(`${rounds} cuts of 5 s; the worst viewer’s ${freezeWords(freezes)}`)
    test.diagnostic(await audience.check(fleet.at(0).http))
  })
}
