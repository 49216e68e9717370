<#
.SYNOPSIS
Installs Postern as a Windows service, brings it up to date, or takes it away.

.DESCRIPTION
The service is postern.exe inside WinSW, which starts it, sends it Ctrl+C when it is to stop (Postern then drains) and turns its log. It
runs as the service's own account, NT SERVICE\postern, which may read its configuration and write its log, and nothing more.

As it is installed it is closed: it listens on loopback alone, port 2525, and the server behind does not exist. What stands in
C:\ProgramData\Postern already stays as it is.

.EXAMPLE
.\postern-service.ps1 -Action Install -Program .\postern-0.1.0-win-x64.exe -Wrapper .\WinSW-x64.exe

.EXAMPLE
.\postern-service.ps1 -Action Upgrade -Program .\postern-0.2.0-win-x64.exe

.EXAMPLE
.\postern-service.ps1 -Action OpenFirewall -Port 25

.EXAMPLE
.\postern-service.ps1 -Action Uninstall
#>
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory = $true)]
    [ValidateSet('Install', 'Upgrade', 'OpenFirewall', 'Uninstall')]
    [string] $Action,

    # postern-VERSION-win-x64.exe
    [string] $Program,

    # WinSW-x64.exe of version 2.12.0
    [string] $Wrapper,

    # That the firewall lets in
    [ValidateRange(1, 65535)]
    [int] $Port = 25,

    # With Uninstall: the configuration, the token and the log as well
    [switch] $Purge
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# WinSW 2.12.0, WinSW-x64.exe (MIT). Another one is refused.
$WrapperHash = '05B82D46AD331CC16BDC00DE5C6332C1EF818DF8CEEFCD49C726553209B3A0DA'

$Service = 'postern'
$Account = 'NT SERVICE\postern'
$Rule = 'Postern-SMTP-In'
$ProgramFolder = Join-Path $env:ProgramFiles 'Postern'
$DataFolder = Join-Path $env:ProgramData 'Postern'
$LogFolder = Join-Path $DataFolder 'logs'
$Executable = Join-Path $ProgramFolder 'postern.exe'
$ServiceExecutable = Join-Path $ProgramFolder 'postern-service.exe'
$ServiceFile = Join-Path $ProgramFolder 'postern-service.xml'
$Configuration = Join-Path $DataFolder 'postern.yaml'
$Token = Join-Path $DataFolder 'admin.token'

# Runs a program and stops where it fails.
function Invoke-Program {
    param([string] $Path, [string[]] $Arguments)
    & $Path @Arguments
    if ($LASTEXITCODE -ne 0) {
        throw "$Path $($Arguments -join ' ') ended with $LASTEXITCODE"
    }
}

function Assert-Administrator {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object -TypeName Security.Principal.WindowsPrincipal -ArgumentList $identity
    if (-not $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'Administrators only: start PowerShell with "Run as administrator".'
    }
}

function Assert-File {
    param([string] $Path, [string] $Name)
    if (-not $Path) { throw "-$Name is wanted: the path of a file" }
    if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) { throw "-${Name}: there is no file $Path" }
}

# Administrators and the system do what they like, the service what it must, and nobody else anything. Names of accounts are
# translated in other languages of Windows, so they stand here as SIDs.
function Grant-Access {
    param([string] $Path, [string] $ServiceRight)
    $grants = @('*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', "${Account}:(OI)(CI)$ServiceRight")
    Invoke-Program -Path 'icacls.exe' -Arguments (@($Path, '/inheritance:r', '/grant:r') + $grants + '/q')
}

function Write-ServiceFile {
    $text = @"
<service>
  <id>$Service</id>
  <name>Postern</name>
  <description>SMTP relay firewall in front of a mail server</description>
  <executable>$Executable</executable>
  <arguments>run --config "$Configuration"</arguments>
  <workingdirectory>$DataFolder</workingdirectory>
  <logpath>$LogFolder</logpath>
  <log mode="roll-by-size">
    <sizeThreshold>102400</sizeThreshold>
    <keepFiles>10</keepFiles>
  </log>
  <startmode>Automatic</startmode>
  <stoptimeout>30 sec</stoptimeout>
  <onfailure action="restart" delay="5 sec"/>
  <resetfailure>1 hour</resetfailure>
</service>
"@
    Set-Content -LiteralPath $ServiceFile -Value $text -Encoding UTF8
}

function Write-Token {
    $octets = New-Object -TypeName byte[] -ArgumentList 32
    $random = [Security.Cryptography.RandomNumberGenerator]::Create()
    try { $random.GetBytes($octets) } finally { $random.Dispose() }
    Set-Content -LiteralPath $Token -Value ([Convert]::ToBase64String($octets)) -Encoding Ascii
}

# What is there already is somebody's own, and stays.
function Initialize-Data {
    if (-not (Test-Path -LiteralPath $Token)) { Write-Token }
    if (Test-Path -LiteralPath $Configuration) { return }
    $schema = & $Executable check --json-schema
    Set-Content -LiteralPath (Join-Path $DataFolder 'postern.schema.json') -Value $schema -Encoding UTF8
    $text = Get-Content -LiteralPath (Join-Path $PSScriptRoot 'postern.yaml') -Raw -Encoding UTF8
    $text = $text -replace '\$schema=\S+', '$$schema=postern.schema.json'
    [IO.File]::WriteAllText($Configuration, $text)
}

function Install-Postern {
    Assert-File -Path $Program -Name 'Program'
    Assert-File -Path $Wrapper -Name 'Wrapper'
    $hash = (Get-FileHash -LiteralPath $Wrapper -Algorithm SHA256).Hash
    if ($hash -ne $WrapperHash) { throw "$Wrapper is not WinSW-x64.exe 2.12.0: its SHA-256 is $hash, and $WrapperHash is wanted" }
    if (Get-Service -Name $Service -ErrorAction SilentlyContinue) { throw "The service $Service is there already: -Action Upgrade" }
    if (-not $PSCmdlet.ShouldProcess($ProgramFolder, 'Install Postern as a service')) { return }

    foreach ($folder in @($ProgramFolder, $DataFolder, $LogFolder)) {
        [void] (New-Item -ItemType Directory -Path $folder -Force)
    }
    Copy-Item -LiteralPath $Program -Destination $Executable -Force
    Copy-Item -LiteralPath $Wrapper -Destination $ServiceExecutable -Force
    Write-ServiceFile
    Invoke-Program -Path $ServiceExecutable -Arguments @('install')
    # The account exists only once the service does; before that no secret is written.
    Invoke-Program -Path 'sc.exe' -Arguments @('config', $Service, 'obj=', $Account)
    Grant-Access -Path $DataFolder -ServiceRight 'RX'
    Grant-Access -Path $LogFolder -ServiceRight 'M'
    Initialize-Data
    Invoke-Program -Path $Executable -Arguments @('check', $Configuration)
    Start-Service -Name $Service
    Write-Output "Postern runs, and is closed. Its configuration: $Configuration"
}

function Install-Upgrade {
    Assert-File -Path $Program -Name 'Program'
    # A configuration that the new one does not take is found before the old one is stopped.
    Invoke-Program -Path $Program -Arguments @('check', $Configuration)
    if (-not $PSCmdlet.ShouldProcess($Executable, "Replace by $Program")) { return }
    Stop-Service -Name $Service
    Copy-Item -LiteralPath $Executable -Destination "$Executable.old" -Force
    Copy-Item -LiteralPath $Program -Destination $Executable -Force
    Start-Service -Name $Service
    Write-Output "Postern is up to date; the one before is $Executable.old"
}

function Open-Firewall {
    if (-not $PSCmdlet.ShouldProcess("port $Port", 'Let everybody in')) { return }
    Remove-NetFirewallRule -Name $Rule -ErrorAction SilentlyContinue
    [void] (New-NetFirewallRule -Name $Rule -DisplayName 'Postern (SMTP)' -Direction Inbound -Action Allow -Protocol TCP `
            -LocalPort $Port -Program $Executable)
    Write-Output "Windows' firewall lets port $Port of Postern be reached"
}

function Uninstall-Postern {
    if (-not $PSCmdlet.ShouldProcess($ProgramFolder, 'Take Postern away')) { return }
    if (Get-Service -Name $Service -ErrorAction SilentlyContinue) {
        Stop-Service -Name $Service
        Invoke-Program -Path $ServiceExecutable -Arguments @('uninstall')
    }
    Remove-NetFirewallRule -Name $Rule -ErrorAction SilentlyContinue
    if (Test-Path -LiteralPath $ProgramFolder) { Remove-Item -LiteralPath $ProgramFolder -Recurse -Force }
    if ($Purge -and (Test-Path -LiteralPath $DataFolder)) { Remove-Item -LiteralPath $DataFolder -Recurse -Force }
}

Assert-Administrator
switch ($Action) {
    'Install' { Install-Postern }
    'Upgrade' { Install-Upgrade }
    'OpenFirewall' { Open-Firewall }
    'Uninstall' { Uninstall-Postern }
}
