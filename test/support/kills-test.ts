/** Gateways that die, stop and are cut off, as tests, short and long. */
import { it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { seededRandom } from './fight.ts'
import { startKafka } from './kafka.ts'
import { freePort } from './kafka-process.ts'
import { Audience, Fleet, freezeWords } from './kills.ts'
import { PageState } from './pages.ts'
import { TcpProxy } from './tcp-proxy.ts'

const watchers = 20

/** @param kills how many gateways are killed. @param restarts how often all three are replaced in order, after that */
export function testKills(kills: number, restarts: number): void {
  const timeout = 120_000 + kills * 30_000 + restarts * 90_000
  it('gateways that are killed, or stop in order, cost no frame', { timeout }, async test => {
    const seed = Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31))
    test.diagnostic(`SEED=${seed}`)
    const random = seededRandom(seed)
    await using kafka = await startKafka({ brokers: 3 })
    await using fleet = await Fleet.start(3, kafka.bootstrapServers, { REPLICATION_FACTOR: '3' })
    try {
      await using audience = await Audience.open(fleet.at(0).http, 'camera')
      for (const i of [1, 2]) await audience.addPage(fleet.at(i).http)
      for (let i = 0; i < watchers; i++) await audience.addWatchers(fleet.at(i % 3).http, 1)
      await fleet.settled('camera', audience.viewers)
      /** Everybody has gone on: what the one that waited longest has waited. */
      const wentOn = async (): Promise<number> => {
        await audience.caughtUp()
        const longest = Math.max(...(await audience.freezes()))
        await fleet.settled('camera', audience.viewers)
        return longest
      }
      const freezes: number[] = []
      for (let i = 0; i < kills; i++) {
        await pause(random() * 2000)
        await audience.freezes()
        await fleet.replace(Math.floor(random() * 3), 'SIGKILL')
        freezes.push(await wentOn())
      }
      test.diagnostic(
        `${kills} gateways killed under ${audience.viewers} viewers; the worst one’s ${freezeWords(freezes)}`,
      )
      freezes.length = 0
      for (let i = 0; i < restarts * 3; i++) {
        await audience.freezes()
        await fleet.replace(i % 3, 'SIGTERM')
        freezes.push(await wentOn())
      }
      test.diagnostic(`${freezes.length} gateways stopped in order; the worst one’s ${freezeWords(freezes)}`)
      test.diagnostic(await audience.check(fleet.at(1).http))
    } catch (error) {
      const said = fleet.gateways.map(({ port, output }) => `${port}:\n${output().slice(-4000)}\n`)
      process.stderr.write(said.join(''))
      throw error
    }
  })
}

/** @param rounds how often the publisher's page is cut from the network, for five seconds each time */
export function testCuts(rounds: number): void {
  const timeout = 120_000 + rounds * 30_000
  it('a publisher’s page that is cut from the network loses nothing', { timeout }, async test => {
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
