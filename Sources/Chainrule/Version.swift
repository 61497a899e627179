internal import CChainrule

/// The version of Chainrule, such as "0.2.0".
public let chainruleVersion = String(cString: chainrule_version())
