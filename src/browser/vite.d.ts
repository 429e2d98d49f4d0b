/** What Vite makes of imports with a query. */
declare module '*?worker&url' {
  const url: string
  export default url
}
declare module '*.css' {}
