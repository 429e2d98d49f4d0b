/** `/watch/ID`: one broadcast, as large as the window allows. */
import { type BroadcastId, isBroadcastId, isTrackName } from '../../units.ts'
import { deliveries } from '../../wire/message.ts'
import { BroadcastPlayer } from '../player/broadcast-player.ts'
import { playerModes } from '../player/player-modes.ts'
import { codecWords, lagWords, playerWords, soundWords, text } from '../text.ts'
import { ControlBar } from './control-bar.ts'
import { button, element, Figures, frame, StateLine, setText } from './dom.ts'
import { FullScreen } from './full-screen.ts'
import { LagChart } from './lag-chart.ts'
import { observe } from './observed.ts'
import { Overlay } from './overlay.ts'
import { PictureInPicture } from './picture-in-picture.ts'
import { Poster } from './poster.ts'
import './style.css'

const words = text.watch
const names = text.figures
const page = new URL(location.href)
const id = decodeURIComponent(/^\/watch\/([^/]*)/.exec(page.pathname)?.[1] ?? '')

if (isBroadcastId(id)) show(id)
else frame('watch', element('h1', {}, words.badId), element('p', {}, text.studio.idWrong))

/** An iPhone's switch mutes sound that no element plays, unless the page says that it plays media. */
function announceSound(): void {
  const { audioSession } = navigator as { audioSession?: { type: string } }
  if (audioSession !== undefined) audioSession.type = 'playback'
}

function show(id: BroadcastId): void {
  announceSound()
  const from = page.searchParams.get('from') ?? 'live'
  const muted = page.searchParams.get('muted') === '1'
  const rendition = page.searchParams.get('rendition')
  const state = new StateLine()
  const lag = element('span', { class: 'lag' })
  const notice = element('p', { class: 'notice', 'aria-hidden': 'true' })
  const sound = button('', 'plain', toggleSound)
  const overlay = new Overlay()
  const poster = new Poster()
  const tools = element('div', { class: 'tools' }, sound)
  const stage = element(
    'div',
    { class: 'stage large' },
    poster.root,
    overlay.root,
    notice,
    element('div', { class: 'corner' }, state.badge, lag),
    tools,
  )
  const full = new FullScreen(stage, goOn)
  const small = new PictureInPicture(stage, () => {
    changed()
    goOn()
  })
  tools.append(small.button, full.button)
  const heading = element('h1', {}, id)
  const figures = new Figures([
    names.lag,
    names.fps,
    names.buffer,
    names.join,
    names.codec,
    names.size,
    names.skew,
    names.lost,
  ])
  const chart = new LagChart()
  const under = element('div')
  frame(
    'watch',
    stage,
    under,
    element('div', { class: 'heading' }, heading),
    state.sentence,
    element('details', { class: 'panel' }, element('summary', {}, words.figures), figures.root, chart.root),
  )

  const player = new BroadcastPlayer(
    {
      id,
      page,
      stage,
      label: words.picture(id),
      mode: playerModes.find(name => name === page.searchParams.get('player')),
      chases: page.searchParams.get('chase') !== '0',
      delivery: deliveries.find(name => name === page.searchParams.get('delivery')),
      ...(rendition !== null && isTrackName(rendition) ? { rendition } : {}),
      from,
      sound: muted ? 'off' : 'heard',
      onData: record => overlay.take(record),
      onDataLeft: () => overlay.clear(),
    },
    changed,
  )
  const controls = new ControlBar(player, page)
  under.replaceWith(controls.root)
  addEventListener('keydown', event => {
    const isTyping = event.target instanceof Element && event.target.matches('input, select, textarea')
    const presses = event.target instanceof Element && event.target.matches('button, summary, a')
    const isPress = presses && (event.key === ' ' || event.key === 'Enter')
    const isOurs = !isTyping && !isPress && !event.ctrlKey && !event.metaKey && !event.altKey
    if (isOurs && (controls.key(event) || key(event))) event.preventDefault()
  })
  observe({ player: () => player })
  // Buttons of small windows, headsets and lock screens.
  navigator.mediaSession?.setActionHandler('play', () => player.play())
  navigator.mediaSession?.setActionHandler('pause', () => player.pause())
  addEventListener('pagehide', () => player.stop())
  // A page that comes back from the browser's memory was stopped when it was left.
  addEventListener('pageshow', event => {
    if (event.persisted) location.reload()
  })
  setInterval(measure, 250)
  player.start()
  poster.load(id)
  changed()

  function changed(): void {
    const { kind } = player.state
    state.show(playerWords(player.state))
    const name = player.title ?? id
    setText(heading, name)
    document.title = words.title(name)
    document.body.dataset.state = kind
    const plays = kind === 'live' || kind === 'replaying' || kind === 'paused'
    const { codecs, audio, firstPaintAt } = player.figures
    if (firstPaintAt !== undefined) poster.leave()
    const soundOnly = codecs.length === 1 && audio.playing
    const note = small.isAway ? words.isInPicture : soundOnly ? words.soundOnly : ''
    setText(notice, plays ? note : playerWords(player.state).sentence)
    setText(sound, soundWords[player.sound])
    sound.hidden = player.sound === 'none'
    sound.dataset.blocked = String(player.sound === 'blocked')
  }

  function toggleSound(): void {
    player.setSound(player.sound === 'heard' ? 'off' : 'heard')
  }

  function key({ key, repeat }: KeyboardEvent): boolean {
    if (key !== 'f' && key !== 'i') return false
    if (!repeat) (key === 'f' ? full : small).toggle()
    return true
  }

  /** What the controls of a window of the system's have stopped goes on, unless it is to stand still. */
  function goOn(): void {
    const video = stage.querySelector<HTMLVideoElement>('video[data-player]')
    if (!player.isPaused && video?.paused === true) video.play().catch(() => {})
  }

  function measure(): void {
    const seen = player.figures
    controls.refresh(seen)
    full.refresh()
    small.refresh(seen.painted > 0)
    overlay.follow(seen.mediaTime)
    overlay.fit(seen.size)
    const age = seen.lagMs === undefined ? undefined : lagWords(seen.lagMs)
    setText(lag, player.state.kind === 'live' ? (age ?? '') : '')
    chart.add(player.state.kind === 'live' ? seen.way : undefined)
    figures.set(names.lag, age)
    figures.set(names.fps, String(seen.fps))
    figures.set(names.buffer, seen.bufferMs === undefined ? undefined : names.milliseconds(seen.bufferMs))
    figures.set(names.join, seen.joinMs === undefined ? undefined : names.milliseconds(seen.joinMs))
    figures.set(names.codec, codecWords(seen.codecs))
    figures.set(names.size, seen.size && `${seen.size.width} × ${seen.size.height}`)
    figures.set(names.skew, seen.audio.playing ? names.milliseconds(seen.audio.avSkewMs) : undefined)
    figures.set(names.lost, names.frames(seen.lost))
  }
}
