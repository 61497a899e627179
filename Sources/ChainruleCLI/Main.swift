import ArgumentParser
import Chainrule
import Foundation

@main
struct ChainruleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chainrule",
    abstract: "Train and use dense neural networks.",
    discussion: """
      Start here:

        chainrule train digits --save digits.safetensors
        chainrule evaluate digits.safetensors digits
        chainrule predict digits.safetensors digits --output predicted.csv

      Results go to standard output, progress and errors to standard error. Exit status: 0 for success, 64 for wrong \
      usage, 65 for bad data, 130 after Ctrl-C (128 + the signal), 1 for any other failure.
      """,
    version: chainruleVersion,
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, PredictCommand.self, InspectCommand.self, ExplainCommand.self,
      VerifyCommand.self, BenchCommand.self, ExportCommand.self, ImportCommand.self,
    ])

  // On the main actor: what goes wrong before a command runs is said without a further thread.
  @MainActor static func main() async {
    // As a filter ends whose reader has gone, whatever the parent process made of the signal.
    signal(SIGPIPE, SIG_DFL)
    // A write beyond the limit on file sizes is an error with a reason, and does not end the process.
    signal(SIGXFSZ, SIG_IGN)
    // Swift reads them from /proc, which a chroot or a container may lack.
    if CommandLine.arguments.isEmpty {
      exit(
        with: Failure(
          message:
            "the arguments cannot be read, since /proc is not there; mount it: mount -t proc proc /proc",
          exitCode: .failure))
    }
    let commands = configuration.subcommands.compactMap { $0.configuration.commandName }
    if let error = Usage.unknownCommand(in: CommandLine.arguments.dropFirst(), commands: commands) {
      exit(withUsageError: error, of: ChainruleCommand.self)
    }
    do {
      var command = try parseAsRoot(joiningNegativeNumbers(in: CommandLine.arguments.dropFirst()))
      do {
        if var asynchronous = command as? any AsyncParsableCommand {
          try checkMemoryForThreads()
          try await asynchronous.run()
        } else {
          try command.run()
        }
      } catch let error as ChainruleError {
        exit(with: Failure(error))
      } catch let failure as Failure {
        exit(with: failure)
      } catch let error as ValidationError {
        exit(withUsageError: error, of: type(of: command))
      }
    } catch {
      exit(withParsed: error)
    }
  }

  /// The arguments with "--option -1" as "--option=-1": the parser takes what begins with a dash for another
  /// option, and no option of ours is a number.
  private static func joiningNegativeNumbers(in arguments: ArraySlice<String>) -> [String] {
    var joined: [String] = []
    for argument in arguments {
      let first = argument.dropFirst().first
      let isNegative = argument.hasPrefix("-") && (first?.isNumber ?? false || first == ".")
      if isNegative || argument == "-inf", let last = joined.last, last.count > 2, last.hasPrefix("--"),
        !last.contains("=")
      {
        joined[joined.count - 1] += "=" + argument
      } else {
        joined.append(argument)
      }
    }
    return joined
  }

  private static func exit(with failure: Failure) -> Never {
    Output.say(failure.message)
    exit(withError: failure.exitCode)
  }

  /// Ends as the parser does, with clearer words where the usage is wrong.
  private static func exit(withParsed error: any Error) -> Never {
    let status = exitCode(for: error)
    if status != .validationFailure { exit(withError: error) }
    Output.note(Usage.clarified(fullMessage(for: error)) + "\n")
    exit(withError: status)
  }

  /// Ends as the parser does for an error it finds itself.
  private static func exit(withUsageError error: ValidationError, of command: any ParsableCommand.Type)
    -> Never
  {
    let names = command == ChainruleCommand.self ? [configuration] : [configuration, command.configuration]
    let name = names.compactMap(\.commandName).joined(separator: " ")
    Output.note(
      "Error: \("\(error)".escaped(for: .terminal))\nUsage: \(usageString(for: command))\n  See '\(name) --help' for more information.\n"
    )
    exit(withError: ExitCode.validationFailure)
  }
}
