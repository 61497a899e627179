import Foundation
import Testing

@Suite struct `The options of all commands` {
  /// An option or an argument as the parser describes it.
  private struct Described: Decodable {
    struct Name: Decodable { let kind, name: String }
    let kind: String
    let names: [Name]?
    let valueName, abstract, defaultValue: String?

    /// "--seed", or "<model>" for an argument
    var key: String {
      guard let names else { return "<\(valueName ?? "")>" }
      return names.map { ($0.kind == "long" ? "--" : "-") + $0.name }.sorted().joined(separator: ", ")
    }
    var meaning: String {
      "\(kind) <\(valueName ?? "")> \(abstract ?? ""), default \(defaultValue ?? "none")"
    }
  }

  private struct Command: Decodable {
    let commandName: String
    let arguments: [Described]?
    let subcommands: [Command]?
  }

  private struct Program: Decodable { let command: Command }

  @Test func `have the same help wherever they have the same name`() throws {
    let text = try Workplace().chainrule("--experimental-dump-help").output
    let program = try JSONDecoder().decode(Program.self, from: Data(text.utf8))
    let commands = try #require(program.command.subcommands)
    #expect(commands.count >= 9)
    var meanings: [String: [String: String]] = [:]
    for command in commands {
      for argument in command.arguments ?? [] {
        // The form of its output; that of the data in other commands.
        if command.commandName == "explain", argument.key == "--format" { continue }
        meanings[argument.key, default: [:]][command.commandName] = argument.meaning
      }
    }
    for (key, byCommand) in meanings {
      #expect(Set(byCommand.values).count == 1, "\(key): \(byCommand)")
    }
    #expect(meanings.count { $1.count > 1 } >= 15, "options that commands share")
  }

  /// Options that several commands have are checked in the same words.
  @Test(arguments: [
    ("train iris --threads 0", "bench --threads 0", "--threads is 0; expected 1 to 256"),
    ("train xor --weights w", "evaluate m xor --weights w", "--weights"),
    ("train xor --skip-bad-rows", "evaluate m xor --skip-bad-rows", "--skip-bad-rows"),
    ("train iris --seed=-1", "verify --seed=-1", "expected a whole number of at least 0"),
  ]) func `are refused alike`(one: String, other: String, problem: String) throws {
    let place = try Workplace()
    try place.chainrule("train", "xor", "--epochs", "1", "--save", "m")
    let refusals = try [one, other].map { line in
      let run = try place.chainrule(line.split(separator: " ").map(String.init))
      #expect(run.status == 64, "\(line)")
      return run.errors.split(separator: "\n").first.map(String.init) ?? ""
    }
    #expect(refusals[0].contains(problem))
    #expect(refusals[0] == refusals[1])
  }
}
