// Runs libFuzzer on one target: fuzz --target=csv [OPTION OF LIBFUZZER…] [CORPUS…]
//
// libFuzzer ignores options that begin with --, and passes them to the processes that it starts.
import Foundation

typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments>,
  _ take: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let option = "--target="
private let name = CommandLine.arguments.first { $0.hasPrefix(option) }?.dropFirst(option.count)
guard let target = name.flatMap({ Target(rawValue: String($0)) }) else {
  let names = Target.allCases.map(\.rawValue).joined(separator: ", ")
  FileHandle.standardError.write(Data("usage: fuzz --target=NAME [OPTION…]; NAME is one of \(names)\n".utf8))
  exit(64)
}
Target.chosen = target

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(
  runDriver(&count, &arguments) { bytes, size in
    Target.chosen.take([UInt8](UnsafeBufferPointer(start: bytes, count: size)))
    return 0
  })
